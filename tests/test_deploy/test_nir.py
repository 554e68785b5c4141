"""Networks in NIR: read back from a file, they fire the same spikes."""

import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmsterf.deploy import to_nir
from mmsterf.errors import InvalidInput
from mmsterf.models.lif_attention import SSA
from mmsterf.snn import ILIF, LIF, SpikeConv2d, SpikeLinear

nir = pytest.importorskip('nir')
pytest.importorskip('nirtorch')
STEPS, DT = 5, 1e-3


def network() -> nn.Sequential:
    """Two convolutions and a linear layer behind neurons of three settings, with a norm, pools and nested parts."""
    lif = dict(type='LIF', time_steps=STEPS)
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Sequential(SpikeConv2d(2, 4, 3, stride=2, padding=1, bias=False, neuron=lif), nn.BatchNorm2d(4)),
        nn.AvgPool2d(2),
        SpikeConv2d(4, 6, 3, padding=1, neuron=dict(type='IF', time_steps=STEPS, v_threshold=0.3)),
        nn.Dropout(0.5),
        nn.Flatten(),
        SpikeLinear(6 * 3 * 4, 7, neuron=dict(lif, tau=3.0, decay_input=False, v_threshold=0.5)),
        LIF(time_steps=STEPS, v_threshold=0.2),
    )
    for weight in model.parameters():
        weight.data *= 9  # so that all of them fire
    norm = model[0][1]
    norm.running_mean.uniform_(-0.5, 0.5)
    norm.running_var.uniform_(0.01, 0.1)
    return model.double().eval()


def run(graph, inputs: torch.Tensor) -> torch.Tensor:
    """Evaluate a chain of NIR nodes step by step, by the equations of NIR with Euler's method."""
    following = dict(graph.edges)
    assert len(following) == len(graph.edges)  # a chain
    (start,) = (name for name, node in graph.nodes.items() if isinstance(node, nir.Input))
    state, outputs = {}, []
    for x in inputs:
        name = following[start]
        while not isinstance(graph.nodes[name], nir.Output):
            node = graph.nodes[name]
            value = {key: torch.as_tensor(np.asarray(v)) for key, v in vars(node).items() if isinstance(v, np.ndarray)}
            if isinstance(node, nir.Conv2d):
                x = F.conv2d(x, value['weight'], value['bias'], tuple(node.stride), tuple(node.padding))
            elif isinstance(node, nir.Affine):
                x = x @ value['weight'].T + value['bias']
            elif isinstance(node, nir.AvgPool2d):
                x = F.avg_pool2d(x, tuple(node.kernel_size), tuple(node.stride))
            elif isinstance(node, nir.Flatten):
                x = x.flatten(1)
            else:
                lif = isinstance(node, nir.LIF)
                v = state.get(name, value['v_reset'].expand_as(x))
                slope = (value['v_leak'] - v + value['r'] * x) / value['tau'] if lif else value['r'] * x
                v = v + DT * slope
                x = (v >= value['v_threshold']).double()
                state[name] = torch.where(x > 0, value['v_reset'], v)
            name = following[name]
        outputs.append(x)
    return torch.stack(outputs)


def test_spikes_survive_the_round_trip(tmp_path):
    from spikingjelly.activation_based.nir_exchange import import_from_nir

    model = network()
    inputs = torch.rand(STEPS, 3, 2, 12, 16, dtype=torch.float64) * 3
    with torch.no_grad():
        expected = model(inputs.flatten(0, 1)).unflatten(0, (STEPS, 3))
    assert 0.02 < expected.mean() < 0.9
    nir.write(tmp_path / 'model.nir', to_nir(model, inputs[0], DT))
    graph = nir.read(tmp_path / 'model.nir')
    kinds = [type(node).__name__ for node in graph.nodes.values()]
    assert kinds.count('LIF') == 3 and kinds.count('IF') == 1 and kinds.count('Conv2d') == 2
    assert torch.equal(run(graph, inputs), expected)
    theirs, state, found = import_from_nir(graph, DT, dtype=torch.float64), None, []
    for x in inputs:  # spikingjelly's own reader
        with torch.no_grad():
            y, state = theirs(x, state)
        found.append(y)
    assert torch.equal(torch.stack(found), expected)


LIF_CFG = dict(type='LIF')


@pytest.mark.parametrize(
    ('part', 'said'),
    [
        (SSA(8), r'Sequential\.0 is a SSA, which NIR cannot express: .* neither attention nor'),
        (SpikeConv2d(8, 8, 1), r'Sequential\.0\.neuron is a ILIF, which NIR cannot'),
        (ILIF(), r'is a ILIF'),
        (SpikeConv2d(8, 8, 3, groups=8, neuron=LIF_CFG), 'cannot be expressed in NIR: Grouped'),
        (SpikeConv2d(8, 8, 1, neuron=dict(LIF_CFG, v_reset=None)), 'cannot be expressed in NIR: .*soft reset'),
        (nn.LayerNorm(8), 'is a LayerNorm'),
        (nn.Sequential(LIF(time_steps=2), LIF(time_steps=3)), 'time_steps of the neurons must agree, got 2, 3'),
    ],
)
def test_what_nir_has_not_is_refused_in_a_sentence(part, said):
    with pytest.raises(InvalidInput, match=said):
        to_nir(nn.Sequential(part), torch.rand(1, 8, 8, 8))


def test_absent_packages_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'nir', None)
    with pytest.raises(InvalidInput, match=r"nir is needed here: pip install 'mmsterf\[nir\]'"):
        to_nir(nn.Sequential(), torch.rand(1, 1, 2, 2))
