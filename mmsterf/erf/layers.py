"""Find the layers of a model that have an effective receptive field, and read the axes of their outputs."""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Optional, Union

import torch
from torch import Tensor, nn

from .state import reset_neurons

AXES = ('NCHW', 'NHWC', 'NLC', 'NCL', 'TNCHW', 'TNHWC', 'TNLC', 'TNCL')
"""Axis orders of a layer's output. Without T, time is folded into N (time-major), or absent."""

_VIEWS = (
    'View',
    'UnsafeView',
    'ReshapeAlias',
    'Permute',
    'Transpose',
    'Clone',
    'Slice',
    'Select',
    'Squeeze',
    'Unsqueeze',
)
_CHANNELS_FIRST = (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm, nn.GroupNorm)


@dataclass(frozen=True)
class Layer:
    """One output of one module, as seen in a forward pass of one sample.

    Attributes:
        name: Module name, with ``:i`` behind it for the i-th tensor of a tuple, list or dict.
        module: The module.
        index: i, 0 for a single tensor.
        shape: Shape of the tensor for one sample.
        axes: One of `AXES`.
        grid: (h, w), the spatial size.
        time: Where output time steps are: 'none' (one step, or averaged over), 'folded', 'axis', or 'calls' (the module
            runs once per step).
        prefix: Number of tokens in front of the grid (class token).
        normed: Whether it comes straight out of a layer norm, whose channels sum to a constant if its gains are equal.
    """

    name: str
    module: nn.Module
    index: int
    shape: tuple[int, ...]
    axes: str
    grid: tuple[int, int]
    time: str
    prefix: int = 0
    normed: bool = False

    def seed(self, like: Tensor, cell: tuple[int, int], step: Union[int, slice], time_steps: int) -> Tensor:
        """Return the gradient to put into the output: ones over all channels at one grid cell.

        Args:
            like: The output (or an empty tensor of its shape), for shape, type and device.
            cell: (row, column) on the grid.
            step: Output step, or a slice of steps; has no meaning where `time` is 'none' or 'calls'.
            time_steps: T.
        """
        seed = torch.zeros(like.shape, dtype=like.dtype, device=like.device)
        view = seed
        if self.time == 'folded':
            view = seed.unflatten(0, (time_steps, -1))[step]
        elif self.time == 'axis':
            view = seed[step]
        row, column = cell
        token = self.prefix + row * self.grid[1] + column
        place = {'CHW': (row, column), 'HWC': (row, column, slice(None)), 'LC': (token, slice(None)), 'CL': (token,)}
        view[(..., *place[self.axes.lstrip('TN')])] = 1
        return seed


def tensors(output) -> list[Tensor]:
    """Return the floating-point tensors of an output: a tensor, or nested tuples, lists and dicts of them."""
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, dict):
        output = output.values()
    elif not isinstance(output, (tuple, list)):
        return []
    return [t for item in output for t in tensors(item)]


def _fits(h: int, w: int, size: tuple[int, int]) -> bool:
    """Tell whether an h x w grid can come from an image of `size` by one stride, rounded up or down."""
    return abs(h * size[1] - w * size[0]) <= max(size)


def token_grid(count: int, size: tuple[int, int]) -> Optional[tuple[int, int]]:
    """Return (h, w) with h * w = `count` whose ratio is that of an image of `size` (H, W), or None."""
    pairs = [(h, count // h) for h in range(1, count + 1) if count % h == 0]
    pairs = [p for p in pairs if _fits(*p, size)]
    return min(pairs, key=lambda p: abs(p[0] * size[1] - p[1] * size[0]), default=None)


def read_axes(
    shape: tuple[int, ...], size: tuple[int, int], time_steps: int = 1, axes: str = 'auto', channels: str = 'any'
) -> Optional[tuple[str, tuple[int, int], int]]:
    """Read a layer's output for one sample: (axes, grid, prefix), or None if it has no spatial shape.

    Args:
        shape: Shape of the output; its leading axis is 1, T, or it has a time axis T in front of an axis of 1.
        size: (H, W) of the input image.
        time_steps: T.
        axes: One of `AXES`, or 'auto'. Then maps are told from tokens by the number of axes, and (C, H, W) from
            (H, W, C), (L, C) from (C, L) by the ratio H : W; if both fit, (C, H, W) and (L, C) win.
        channels: 'first', 'last' or 'any': what is known about the module.
    """
    if axes != 'auto':
        orders = [axes]
    else:
        orders = ['NCHW', 'NHWC', 'TNLC', 'TNCL', 'NLC', 'NCL', 'TNCHW', 'TNHWC']
        if channels != 'any':
            orders = [o for o in orders if o.endswith('C') == (channels == 'last')]
    orders = [o for o in orders if len(o) == len(shape)]
    for order in orders:
        leading = (time_steps, 1) if order[0] == 'T' else (1,) if shape[0] == 1 else (time_steps,)
        if shape[: len(leading)] != leading or not all(shape):
            continue
        if 'L' in order:
            tokens = shape[order.index('L')]
            for prefix in (0, 1):
                grid = token_grid(tokens - prefix, size)
                if grid:
                    return order, grid, prefix
        else:
            grid = shape[order.index('H')], shape[order.index('W')]
            if axes != 'auto' or _fits(*grid, size):
                return order, grid, 0
    return None


def probe(
    model: nn.Module,
    x: Tensor,
    size: tuple[int, int],
    time_steps: int = 1,
    axes: Union[str, dict[str, str]] = 'auto',
    forward: Optional[Callable] = None,
) -> tuple[dict[str, Layer], dict[str, str]]:
    """Run one sample and return the layers that have a receptive field, and for all others the reason why not.

    Args:
        model: A model inside `untouched`.
        x: Input of one sample, asking for its gradient.
        size: (H, W) of the image.
        time_steps: T.
        axes: Axis order of outputs, one of `AXES` or 'auto', or a dict from name patterns to that.
        forward: ``forward(model, x)``; default ``model(x)``.
    """
    names = {m: n or '.' for n, m in model.named_modules()}
    calls: dict[str, list[list[tuple]]] = {n: [] for n in names.values()}

    def look(module, args, kwargs, output):
        found = [(tuple(t.shape), t.requires_grad, _is_normed(t)) for t in tensors(output)]
        calls[names[module]].append(found)

    handles = [m.register_forward_hook(look, with_kwargs=True) for m in names]
    try:
        reset_neurons(model)
        model(x) if forward is None else forward(model, x)
    finally:
        for handle in handles:
            handle.remove()

    def runs(module):
        # a Sequential may be run child by child; its output is then that of its last child
        aside = isinstance(module, nn.Sequential) and len(module) and not calls[names[module]]
        return runs(module[-1]) if aside else module

    layers, reasons = {}, {}
    for module, name in names.items():
        module = runs(module)
        made = calls[names[module]]
        outputs = made[0] if made else []
        keys = [name] if len(outputs) == 1 else [f'{name}:{i}' for i in range(len(outputs))]
        for i, (key, (shape, connected, normed)) in enumerate(zip(keys, outputs)):
            order = axes if isinstance(axes, str) else next((a for p, a in axes.items() if _matches(key, p)), 'auto')
            found = read_axes(shape, size, time_steps, order, _channels(module))
            if not connected:
                reasons[key] = 'does not depend on the input'
            elif not found:
                reasons[key] = f'has no spatial shape: {shape} for one image of {size[0]} x {size[1]}'
            else:
                time = _time(found[0], shape, time_steps, len(made))
                layers[key] = Layer(key, module, i, shape, found[0], found[1], time, found[2], normed)
        if not outputs:
            reasons[name] = 'returns no floating-point tensor' if made else 'never runs in the forward pass'
        elif len(outputs) > 1:
            usable = next((layers[k] for k in keys if k in layers), None)
            if usable:
                layers[name] = replace(usable, name=name)
            else:
                reasons[name] = '; '.join(f'{k} {reasons[k]}' for k in keys)
    return layers, reasons


def _is_normed(y: Tensor) -> bool:
    node = y.grad_fn
    while node is not None and node.name().startswith(_VIEWS):
        node = node.next_functions[0][0]
    return node is not None and node.name().startswith('NativeLayerNorm')


def _channels(module: nn.Module) -> str:
    # exactly nn.Linear: a subclass may view its rows as something else
    return 'first' if isinstance(module, _CHANNELS_FIRST) else 'last' if type(module) is nn.Linear else 'any'


def _time(axes: str, shape: tuple[int, ...], time_steps: int, calls: int) -> str:
    if axes[0] == 'T':
        return 'axis'
    if time_steps == 1:
        return 'none'
    if shape[0] == time_steps:
        return 'folded'
    return 'calls' if calls == time_steps else 'none'


def _matches(name: str, pattern: str) -> bool:
    # 'neck*' means modules, not every output of every module
    return name == pattern or ((':' in name) == (':' in pattern) and fnmatchcase(name, pattern))


def select(
    model: nn.Module,
    wanted: Union[str, nn.Module, Iterable[Union[str, nn.Module]]],
    layers: dict[str, Layer],
    reasons: dict[str, str],
) -> list[Layer]:
    """Return the layers that `wanted` means, in that order, each once.

    Args:
        model: The probed model.
        wanted: Names, glob patterns (``stage3.*.attn.proj``, ``backbone:*``) or modules, one or several.
        layers: From `probe`.
        reasons: From `probe`.

    Raises:
        ValueError: If a name or pattern means no usable layer; the message says why and lists the layers that would do.
    """
    names = {m: n or '.' for n, m in model.named_modules()}
    chosen: dict[str, Layer] = {}
    for item in [wanted] if isinstance(wanted, (str, nn.Module)) else wanted:
        if isinstance(item, nn.Module):
            if item not in names:
                raise ValueError(
                    f'the {type(item).__name__} given as a layer is not part of the {type(model).__name__}'
                )
            item = names[item]
        if not item:
            raise ValueError(f'layers has an empty name, {item!r}. Layers that would do: {_suggest("", layers)}')
        found = [n for n in layers if n == item] or [n for n in layers if _matches(n, item)]
        single, _, index = item.rpartition(':')
        if not found and single in layers and index in ('0', '*') and item not in reasons:
            found = [single]  # the only output of a module goes without an index
        if not found:
            why = reasons.get(item) or next((r for n, r in reasons.items() if _matches(n, item)), None)
            why = why or ('matches no layer' if any(c in item for c in '*?[') else 'is no layer of this model')
            raise ValueError(f'layer {item!r} {why}. Layers that would do: {_suggest(item, layers)}')
        chosen.update((n, layers[n]) for n in found)
    if not chosen:
        raise ValueError(f'no layers given. Layers that would do: {_suggest("", layers)}')
    return list(chosen.values())


def _suggest(name: str, layers: dict[str, Layer], limit: int = 24) -> str:
    if not layers:
        return 'none (no output of this model depends on the input and has a spatial shape)'
    near = difflib.get_close_matches(name, layers, n=4, cutoff=0.5)
    rest = [n for n in layers if n not in near and ':' not in n]
    shown = (near + rest)[:limit]
    return ', '.join(shown) + (f' and {len(layers) - len(shown)} more' if len(layers) > len(shown) else '')
