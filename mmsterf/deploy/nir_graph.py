"""Plain spiking networks as graphs of NIR, which other toolkits and neuromorphic chips read.

NIR (Pedersen et al., "Neuromorphic intermediate representation", Nature Communications 2024) has layers, pools and
neurons that integrate and fire, joined by edges. Products of two maps, which attention needs, and neurons that fire
counts it has not.
"""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.modules.utils import _pair

from mmsterf.errors import InvalidInput
from mmsterf.snn import IF, LIF, PLIF, SpikeConv2d, SpikeLinear, fold_norms

from .exporting import package

_NEURONS = (IF, LIF, PLIF)
_SPIKING = {SpikeConv2d: nn.Conv2d, SpikeLinear: nn.Linear}
_AS_THEY_ARE = (nn.Conv2d, nn.Linear, nn.Flatten)
_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout2d)  # in evaluation mode


def to_nir(model: nn.Module, example: Tensor, dt: float = 1e-4):
    """Return a plain spiking network as an `nir.NIRGraph`; ``nir.write(file, graph)`` writes it.

    spikingjelly's `export_to_nir` maps the parts; norms are folded first. One time step of the neurons is `dt`; NIR's
    remember for as long as the network runs, ours for `time_steps`.

    Args:
        model: `SpikeConv2d` or `SpikeLinear`, or an `nn.Sequential` of these, of IF, LIF and PLIF neurons with hard
            reset, and of convolutions (not grouped), linear layers, batch norms, average pools and `nn.Flatten`.
        example: An input of one time step (N, C, H, W), for the sizes of the layers.
        dt: Length of a time step in seconds, which NIR's time constants are in.

    Raises:
        InvalidInput: If the packages are absent, the neurons are of different numbers of time steps, or NIR cannot
            express a part; names it.

    Example:
        >>> lif = dict(type='LIF', time_steps=4)
        >>> model = nn.Sequential(SpikeConv2d(2, 8, 3, neuron=lif), nn.Flatten(), SpikeLinear(288, 10, neuron=lif))
        >>> sorted({type(node).__name__ for node in to_nir(model, torch.rand(1, 2, 8, 8)).nodes.values()})
        ['Affine', 'Conv2d', 'Flatten', 'Input', 'LIF', 'Output']
    """
    for name in ('nir', 'nirtorch'):
        package(name, 'nir')
    from spikingjelly.activation_based.nir_exchange import export_to_nir

    steps = sorted({module.time_steps for module in model.modules() if isinstance(module, _NEURONS)})
    if len(steps) > 1:
        raise InvalidInput(f'time_steps of the neurons must agree, got {", ".join(map(str, steps))}')
    model = fold_norms(model)
    network = nn.Sequential(*_parts(model, type(model).__name__))
    try:
        with torch.no_grad():
            return export_to_nir(network, example, dt=dt)
    except NotImplementedError as error:  # grouped convolutions, soft resets and the like
        raise InvalidInput(f'{type(model).__name__} cannot be expressed in NIR: {error}') from error


def _parts(module: nn.Module, name: str) -> Iterator[nn.Module]:
    """Modules of torch and spikingjelly that together compute what a module does in one time step."""
    kind = type(module)
    if kind.forward is nn.Sequential.forward:
        for child, part in module.named_children():
            yield from _parts(part, f'{name}.{child}')
    elif kind in _SPIKING:
        yield from _parts(module.neuron, f'{name}.neuron')
        plain = copy.copy(module)
        plain.__class__ = _SPIKING[kind]
        plain._modules = {}
        yield plain
    elif kind in _NEURONS:
        node = copy.deepcopy(module.node)
        node.step_mode = 's'
        yield node
    elif kind in _AS_THEY_ARE:
        yield module
    elif kind is nn.AvgPool2d:  # NIR has heights and widths
        pool = copy.copy(module)
        pool.kernel_size, pool.stride, pool.padding = map(_pair, (module.kernel_size, module.stride, module.padding))
        yield pool
    elif kind not in _NOTHING:
        raise InvalidInput(
            f'{name} is a {kind.__name__}, which NIR cannot express: it has chains of convolutions, linear layers, '
            'average pools and IF, LIF and PLIF neurons, but neither attention nor neurons that fire counts'
        )
