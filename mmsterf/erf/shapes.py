"""What a model takes as its input: how many channels, which sizes, how many time steps."""

from collections.abc import Callable, Iterable
from typing import NamedTuple, Optional

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import BatchNorm2d, BatchNorm3d
from torch.nn.modules.conv import _ConvNd

from mmsterf.errors import InvalidInput

from .inputs import INPUTS
from .running import Unavailable
from .state import reset_neurons, untouched

Size = tuple[int, int]
USUAL: Size = (224, 224)
_COMMON = (256, 320, 384, 448, 512, 640, 768, 1024)


class _Seen(BaseException):
    """The first layer has been seen."""


class InputShape(NamedTuple):
    """C, (H, W), T, and what the model takes: one 'image' for all steps, a 'sequence', or a 'folded' one."""

    channels: int
    size: Size
    time_steps: int
    input_time: str

    @property
    def sample(self) -> tuple:
        """Shape of one sample: (C, H, W), or (T, C, H, W)."""
        shape = (self.channels, *self.size)
        return shape if self.input_time == 'image' else (self.time_steps, *shape)


def time_steps_of(model: nn.Module) -> int:
    """Return T of a model: what its backbone, or another part of it, calls `time_steps`; 1 for those without time."""
    for module in (getattr(model, 'backbone', model), *model.modules()):
        steps = getattr(module, 'time_steps', None)
        if isinstance(steps, int) and steps > 0:
            return steps
    return 1


def timing(model: nn.Module, time_steps: Optional[int], input_time: str) -> tuple[int, str]:
    """Return T (default: the model's) and what the model takes ('auto': a 'sequence' if T is above 1)."""
    time_steps = time_steps or time_steps_of(model)
    return time_steps, ('sequence' if time_steps > 1 else 'image') if input_time == 'auto' else input_time


def input_shape(
    model: nn.Module,
    forward: Optional[Callable[[nn.Module, Tensor], object]] = None,
    *,
    size: Optional[Size] = None,
    sizes: Iterable[Size] = (),
    usual: Size = USUAL,
    guess: int = 3,
    time_steps: Optional[int] = None,
    input_time: str = 'auto',
    sample: Optional[Tensor] = None,
) -> InputShape:
    """Return the shape of a model's input: channels of its first layer, a size that it takes, its time steps.

    Args:
        model: Any module; left as found.
        forward: ``forward(model, x)``; default ``model(x)``.
        size: (H, W) that is wanted; default see `fitting_size`.
        sizes, usual: See `fitting_size`.
        guess: See `input_channels`.
        time_steps, input_time: See `timing`.
        sample: An input that is there: (..., C, H, W).

    Raises:
        ValueError: If the model does not take the size or the sample; the message says what works.
    """
    time_steps, input_time = timing(model, time_steps, input_time)
    how = {'time_steps': time_steps, 'input_time': input_time, 'forward': forward}
    if sample is not None:
        size = tuple(sample.shape[-2:])
    channels = input_channels(model, guess, size=size or usual, **how)
    if sample is not None and sample.shape[-3] != channels:
        raise ValueError(
            f'images have {sample.shape[-3]} channels where the model sees them, and the {type(model).__name__} takes '
            f'{channels}: for images of {channels}, its data_preprocessor needs as many means and standard deviations; '
            'noise is made as the model takes it'
        )
    size = fitting_size(model, channels, size, sizes, usual, **how)
    return InputShape(channels, size, time_steps, input_time)


def input_channels(
    model: nn.Module,
    guess: int = 3,
    *,
    size: Size = USUAL,
    time_steps: int = 1,
    input_time: str = 'image',
    forward: Optional[Callable[[nn.Module, Tensor], object]] = None,
) -> int:
    """Return the channels of the input that a model's first layer wants; little more than that layer is run.

    Args:
        model: Any module; left as found.
        guess: What is tried, and returned where the first layer does not tell.
        size: (H, W) to try with.
        time_steps, input_time, forward: See `st_erf`.
    """
    found: list[int] = []

    def look(module, args):
        if args and isinstance(args[0], Tensor) and args[0].requires_grad:
            wanted, axis = _wants(module)
            got = args[0].shape[axis] if args[0].ndim >= -axis else 0
            # a stem may move pixels to channels first
            if wanted and got and guess * wanted % got == 0:
                found.append(guess * wanted // got)
            raise _Seen

    with untouched(model) as bare, torch.inference_mode(False), torch.enable_grad():
        handles = [m.register_forward_pre_hook(look) for m in bare.modules() if _wants(m)[0]]
        x = blank(bare, guess, size, time_steps, input_time).requires_grad_()
        try:
            reset_neurons(bare)
            bare(x) if forward is None else forward(bare, x)
        except (_Seen, Exception):  # it is run again with what is found
            pass
        finally:
            for handle in handles:
                handle.remove()
    return found[0] if found else guess


def blank(model: nn.Module, channels: int, size: Size, time_steps: int = 1, input_time: str = 'image') -> Tensor:
    """Return one input of zeros, of the type and on the device of a model."""
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    if input_time not in INPUTS:
        raise ValueError(f'input_time must be one of {", ".join(INPUTS)}, got {input_time!r}')
    steps = {'image': (1,), 'sequence': (time_steps, 1), 'folded': (time_steps,)}[input_time]
    return torch.zeros(*steps, channels, *size, dtype=like.dtype, device=like.device)


def fitting_size(
    model: nn.Module,
    channels: int = 3,
    size: Optional[Size] = None,
    sizes: Iterable[Size] = (),
    usual: Size = USUAL,
    *,
    time_steps: int = 1,
    input_time: str = 'image',
    forward: Optional[Callable[[nn.Module, Tensor], object]] = None,
) -> Size:
    """Return a size that a model takes: `size` if given, else `usual` or the first other one that runs.

    Others are those that the model names as `img_size`, `sizes`, and common ones.

    Args:
        model: Any module; left as found.
        channels: C.
        size: (H, W) that is wanted.
        sizes: (H, W) that may be tried, as of the configuration.
        usual: (H, W) that is tried first without `size`.
        time_steps, input_time, forward: See `st_erf`.

    Raises:
        ValueError: If the model does not take `size`, but another one, which the message names. What a model raises
            with all sizes is raised as it is.
    """

    def run(size: Size) -> None:
        with untouched(model) as bare, torch.no_grad():
            reset_neurons(bare)
            x = blank(bare, channels, size, time_steps, input_time)
            bare(x) if forward is None else forward(bare, x)

    return first_that_runs(run, size, [*own_sizes(model), *sizes], type(model).__name__, usual)


def own_sizes(model: nn.Module) -> list[Size]:
    """Return the sizes that parts of a model name as `img_size`."""
    return [s for s in (size_of(getattr(module, 'img_size', None)) for module in model.modules()) if s]


def size_of(value) -> Optional[Size]:
    """Return (H, W) if a value is that, or one number for both; else None."""
    value = (value, value) if isinstance(value, int) else value
    pair = isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(n, int) and n > 0 for n in value)
    return tuple(value) if pair else None


def first_that_runs(
    run: Callable[[Size], object], size: Optional[Size], sizes: Iterable[Size], whose: str, usual: Size = USUAL
) -> Size:
    """Return the first size with which `run` raises nothing; see `fitting_size`."""
    first = tuple(size or usual)
    try:
        run(first)
        return first
    except Unavailable:
        raise
    except Exception as error:
        reason = error
    for other in _candidates(first, size is not None, sizes):
        try:
            run(other)
        except Exception:
            continue
        if size is None:
            return other
        text = ' '.join(str(reason.__cause__ or reason).split())[:200] or type(reason).__name__
        raise InvalidInput(
            f'{whose} cannot take inputs of {first[0]} x {first[1]} ({text}); a size that works is '
            f'{other[0]} x {other[1]}'
        ) from reason
    raise reason


def _candidates(first: Size, given: bool, sizes: Iterable[Size]) -> list[Size]:
    """Sizes to try after `first`, each once: those nearby if it was given, those of the configuration, common ones."""
    near = [tuple(-(-n // unit) * unit for n in first) for unit in (16, 32, 64, 128)] if given else []
    common = [USUAL, *((n, n) for n in _COMMON)]
    others = [*map(tuple, sizes), *common]
    if given:  # the smallest that works is named
        others.sort(key=lambda s: s[0] * s[1])
    return [s for s in dict.fromkeys([*near, *others]) if s != first]


def _wants(module: nn.Module) -> tuple[int, int]:
    """The number of channels that a layer wants, 0 if it takes any, and the axis of them, from behind."""
    if isinstance(module, _ConvNd):
        return module.in_channels, -module.weight.ndim + 1
    if isinstance(module, nn.Linear):
        return module.in_features, -1
    if isinstance(module, (BatchNorm2d, BatchNorm3d)):
        return module.num_features, -3 if isinstance(module, BatchNorm2d) else -4
    return 0, -1
