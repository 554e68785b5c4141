"""What all spiking backbones share: time, returned maps, freezing, recomputation."""

from collections.abc import Iterable
from contextlib import contextmanager, nullcontext
from typing import Optional

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from mmsterf.checkpoint.loading import PretrainedModule
from mmsterf.errors import InvalidInput
from mmsterf.ranges import check_count, check_number
from mmsterf.snn import fold, rate
from mmsterf.snn.layers import like_weight

from ..blocks import ResidualBlock

MIN_SIZE = 16
OUTPUTS = ('rate', 'folded')


def _statistics_as_now(module: nn.Module):
    """Context in which batch norms have the statistics of this moment, and outside of which nothing changes.

    A recomputed forward pass must see what the first one saw, and must not count twice.
    """
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    now = [{k: b if b is None else b.clone() for k, b in m._buffers.items()} for m in norms]

    @contextmanager
    def recompute():
        saved = [dict(m._buffers) for m in norms]
        try:
            for norm, buffers in zip(norms, now):
                norm._buffers.update(buffers)
            yield
        finally:
            for norm, buffers in zip(norms, saved):
                norm._buffers.update(buffers)

    return recompute()


class SpikingBackbone(PretrainedModule):
    """Base of the spiking backbones: a stem, then stages, each of which ends in a map.

    Subclasses call `_choose`, build the modules of as many stages, name them in `_stages`, and call `_freeze`. Stages
    behind the last map to return are not built: parameters without a gradient stop training in several processes.

    Args:
        neuron (dict): Neuron config, see `mmsterf.snn.build_neuron`; gets `time_steps`.
        time_steps (int): Time steps T.
        output (str): 'rate' averages the returned maps over time, for necks without time; 'folded' keeps (T*N, C, H,
            W), time-major, for spiking necks and heads.
        frozen_stages (int): -1 trains all; 0 freezes the stem, k the stem and the first k stages.
        norm_eval (bool): Keep batch statistics fixed in training.
        with_cp (bool): Recompute blocks in the backward pass to save memory.
        init_cfg (dict, optional): mmengine initialisation. ``dict(type='Pretrained', checkpoint=...)`` takes converted
            and published files, and fails if a tensor is missing, unknown or misshapen.

    Attributes:
        out_strides (tuple[int]): Strides of the returned maps.
        out_channels (tuple[int]): Channels of the returned maps.
        unbuilt (tuple[str]): Names of the modules that `out_indices` leaves out; checkpoints may have them.

    Shape:
        Images (N, C, H, W), shown T times, or sequences (T, N, C, H, W), sides of at least 16, to a tuple of (N, C',
        ceil(H / stride), ceil(W / stride)), or (T*N, ...) with ``output='folded'``.

    Raises:
        ValueError: If an argument is not valid, the image too small, or the sequence not of T steps.
    """

    def __init__(
        self,
        neuron: dict,
        time_steps: int = 1,
        output: str = 'rate',
        frozen_stages: int = -1,
        norm_eval: bool = False,
        with_cp: bool = False,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        if output not in OUTPUTS:
            raise ValueError(f'output must be one of {", ".join(OUTPUTS)}, got {output!r}')
        check_count(f'time_steps of {type(self).__name__}', time_steps)
        if neuron.get('time_steps', time_steps) != time_steps:
            raise ValueError(
                f'time_steps of the neuron and of {type(self).__name__} must agree, '
                f'got {neuron["time_steps"]} and {time_steps}'
            )
        self.neuron = {**neuron, 'time_steps': time_steps}
        self.time_steps = time_steps
        self.output = output
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.with_cp = with_cp

    def _stages(self) -> list:
        """Modules of each map: [[stem, ...], [...], ...] in the order they run; blocks are `ResidualBlock`."""
        raise NotImplementedError

    def _choose(self, out_indices, strides: tuple, channels: tuple) -> int:
        """Take the maps to return out of those there are; returns the number of stages to build, none unused."""
        indices = tuple(range(len(strides)))
        if not isinstance(out_indices, Iterable):
            raise InvalidInput(f'out_indices must be increasing and among {indices}, got {out_indices!r}')
        out_indices = tuple(out_indices)
        if not out_indices or list(out_indices) != sorted(set(out_indices) & set(indices)):
            raise ValueError(f'out_indices must be increasing and among {indices}, got {out_indices}')
        if self.frozen_stages not in range(-1, len(strides) + 1):
            raise ValueError(f'frozen_stages must be -1 to {len(strides)}, got {self.frozen_stages}')
        self.out_indices = out_indices
        self.out_strides = tuple(strides[i] for i in out_indices)
        self.out_channels = tuple(channels[i] for i in out_indices)
        return out_indices[-1] + 1

    def _freeze(self) -> None:
        stages = self._stages()
        frozen = stages[0][:1] if self.frozen_stages >= 0 else []
        for modules in stages[: max(self.frozen_stages, 0)]:
            frozen += modules
        for module in frozen:
            module.eval()
            module.requires_grad_(False)

    def train(self, mode: bool = True):
        """Set the training mode; frozen stages, and all norms with `norm_eval`, stay in evaluation mode."""
        super().train(mode)
        if mode:
            self._freeze()
            if self.norm_eval:
                for module in self.modules():
                    if isinstance(module, _BatchNorm):
                        module.eval()
        return self

    def _fold_time(self, x: Tensor) -> Tensor:
        if min(x.shape[-2:]) < MIN_SIZE:
            raise ValueError(
                f'{type(self).__name__} needs images of at least {MIN_SIZE}x{MIN_SIZE}, got {tuple(x.shape[-2:])}'
            )
        if x.dim() == 4:
            return x if self.time_steps == 1 else fold(x.expand(self.time_steps, *x.shape))
        if x.dim() != 5 or x.shape[0] != self.time_steps:
            raise ValueError(
                f'{type(self).__name__} takes images (N, C, H, W) or sequences (T, N, C, H, W) of '
                f'time_steps={self.time_steps}, got {tuple(x.shape)}'
            )
        return fold(x)

    def _run(self, module: nn.Module, x: Tensor) -> Tensor:
        if not (self.with_cp and isinstance(module, ResidualBlock) and x.requires_grad):
            return module(x)
        contexts = nullcontext(), _statistics_as_now(module)
        return checkpoint(module, x, use_reentrant=False, context_fn=lambda: contexts)

    def forward(self, x: Tensor) -> tuple:
        # Data preprocessors give float32 whatever the weights are.
        x = like_weight(self._fold_time(x), next(self.parameters()))
        outs = []
        for index, modules in enumerate(self._stages()):
            for module in modules:
                x = self._run(module, x)
            if index in self.out_indices:
                outs.append(rate(x, self.time_steps) if self.output == 'rate' else x)
        return tuple(outs)


def named_size(model: str, archs: dict, arch: Optional[str], **given) -> tuple:
    """Sizes of a published `arch`, or those given; missing ones come from the published arch that the others fit.

    Args:
        model (str): Name of the model, for the sentence.
        archs (dict): Name to sizes, in the order of `given`.
        arch (str, optional): A name, or None.
        **given: Each size by the name of its argument, or None.

    Raises:
        InvalidInput: If the name is unknown, a size contradicts it, or a size is missing and no name fits.
    """
    if arch is not None:
        if arch not in archs:
            raise InvalidInput(f'arch of {model} must be one of {", ".join(archs)}, got {arch!r}')
        for key, value, size in zip(given, given.values(), archs[arch]):
            if value not in (None, size):
                raise InvalidInput(f'{key} of {model} is {size} for arch={arch!r}, got {value}: leave one of them out')
        return archs[arch]
    for sizes in archs.values():
        if all(value in (None, size) for value, size in zip(given.values(), sizes)):
            return sizes
    missing = [key for key, value in given.items() if value is None]
    if missing:
        sizes = ', '.join(f'{key}={value}' for key, value in given.items() if value is not None)
        raise InvalidInput(
            f'{model} with {sizes} is no published size, so it needs {" and ".join(missing)}, which no file of weights '
            f'tells (or arch, one of {", ".join(archs)})'
        )
    return tuple(given.values())


def drop_path_rates(drop_path_rate: float, depth: int):
    """Stochastic depth of each block in turn: `drop_path_rate` at the last, growing linearly from 0."""
    check_number('drop_path_rate', drop_path_rate, least=0, below=1)
    return iter([drop_path_rate * i / max(depth - 1, 1) for i in range(depth)])
