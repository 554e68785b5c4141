"""Read the axes of a layer's output: from the graph that made it, or, where that does not tell, from its shape."""

from typing import Optional, Union

from torch import Tensor, nn

from .atoms import read, shuffled, unknown
from .lineage import Lineage

AXES = ('NCHW', 'NHWC', 'NLC', 'NCL', 'TNCHW', 'TNHWC', 'TNLC', 'TNCL')
"""Axis orders of a layer's output. Without T, time is folded into N (time-major), or absent."""

Order = Union[str, tuple[str, int]]
"""'auto', one of `AXES`, or one with L and the number of tokens in front of the grid."""

_CHANNELS_FIRST = (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm, nn.GroupNorm)
_MOST_TOKENS = 16


def check_order(order: Order) -> tuple[str, Optional[int]]:
    """Return (axes or 'auto', tokens in front of the grid or None).

    Raises:
        ValueError: Lists what is valid.
    """
    name, prefix = (order, None) if isinstance(order, str) else order if len(order) == 2 else (order, None)
    if name not in ('auto', *AXES):
        raise ValueError(f'axes must be one of auto, {", ".join(AXES)}, got {order!r}')
    if prefix is not None and ('L' not in name or not isinstance(prefix, int) or prefix < 0):
        raise ValueError(f"axes with tokens in front are ('NLC', 4), for example, got {order!r}")
    return name, prefix


def _fits(h: int, w: int, size: tuple[int, int]) -> bool:
    """Tell whether an h x w grid can come from an image of `size` by one stride, rounded up or down."""
    return abs(h * size[1] - w * size[0]) <= max(size)


def token_grid(count: int, size: tuple[int, int]) -> Optional[tuple[int, int]]:
    """Return (h, w) with h * w = `count` whose ratio is that of an image of `size` (H, W), or None."""
    pairs = [(h, count // h) for h in range(1, count + 1) if count % h == 0]
    pairs = [p for p in pairs if _fits(*p, size)]
    return min(pairs, key=lambda p: abs(p[0] * size[1] - p[1] * size[0]), default=None)


def read_axes(
    shape: tuple[int, ...], size: tuple[int, int], time_steps: int = 1, axes: Order = 'auto', channels: str = 'any'
) -> Optional[tuple[str, tuple[int, int], int]]:
    """Read a layer's output for one sample from its shape: (axes, grid, prefix), or None if it has no spatial shape.

    Args:
        shape: Shape of the output; its leading axis is 1, T, or it has a time axis T in front of an axis of 1.
        size: (H, W) of the input image.
        time_steps: T.
        axes: See `Order`. With 'auto', maps are told from tokens by the number of axes, and (C, H, W) from (H, W, C)
            by the ratio H : W; if both fit, (C, H, W) wins. Of the numbers of tokens in front of a grid that leave one
            of that ratio, the smallest is taken.
        channels: 'first', 'last' or 'any': what is known about the module.
    """
    axes, given = check_order(axes)
    if axes != 'auto':
        orders = [axes]
    else:
        orders = ['NCHW', 'NHWC', 'TNLC', 'TNCL', 'NLC', 'NCL', 'TNCHW', 'TNHWC']
        if channels == 'any':  # (C, L) has to be known
            orders = [o for o in orders if not o.endswith('CL')]
        else:
            orders = [o for o in orders if o.endswith('C') == (channels == 'last')]
    orders = [o for o in orders if len(o) == len(shape)]
    for order in orders:
        if not _leads(order, shape, time_steps):
            continue
        if 'L' in order:
            tokens = shape[order.index('L')]
            for prefix in range(_MOST_TOKENS + 1) if given is None else [given]:
                grid = token_grid(tokens - prefix, size) if tokens > prefix else None
                if grid:
                    return order, grid, prefix
        else:
            grid = shape[order.index('H')], shape[order.index('W')]
            if axes != 'auto' or _fits(*grid, size):
                return order, grid, 0
    return None


def axes_of(
    y: Tensor, lineage: Lineage, size: tuple[int, int], time_steps: int, order: Order, channels: str
) -> tuple[Optional[tuple[str, tuple[int, int], int]], str]:
    """Read the axes of an output for one sample.

    Args:
        y: The output.
        lineage: Of the input.
        size, time_steps: As for `read_axes`.
        order: See `Order`.
        channels: 'first', 'last' or 'any': what is known about the module.

    Returns:
        (axes, grid, prefix) or None, and: 'guess' if only the shape speaks for it, or why there is none.
    """
    shape = tuple(y.shape)
    text = f'{shape} for one image of {size[0]} x {size[1]}'
    axes = lineage.of(y)
    found = read(axes)
    name, prefix = check_order(order)
    if found:
        for fits in AXES if name == 'auto' else [name]:
            place = (fits.find('L'),) * 2 if 'L' in fits else (fits.find('H'), fits.find('W'))
            if len(fits) != len(shape) or place != (found.rows, found.columns) or not _leads(fits, shape, time_steps):
                continue
            if prefix in (None, found.prefix):
                return (fits, found.grid, found.prefix), ''
    shaped = read_axes(shape, size, time_steps, order, channels)
    if name != 'auto':
        return shaped, '' if shaped else f'has no axes {order!r} with a grid of the ratio of the image: {text}'
    if not found and shuffled(axes):
        return None, f'has its positions in another order than row by row: {text}'
    one = shaped is not None and shaped[1] == (1, 1)
    if not found and shaped and (unknown(axes) or one):
        # two axes in the ratio of the image are no chance, unless other two have it as well; tokens may be queries
        other = shaped[0] if channels != 'any' else (read_axes(shape, size, time_steps, 'auto', 'last') or shaped)[0]
        return shaped, '' if one or (other == shaped[0] and 'L' not in other) else 'guess'
    if unknown(axes) or one:
        return None, f'has no spatial shape: {text}'
    return (
        None,
        f'has no spatial shape (its axes are channels, queries, windows, pairs or levels, not positions): {text}',
    )


def _leads(order: str, shape: tuple[int, ...], time_steps: int) -> bool:
    """Tell whether the axes in front of an order are one sample, or its steps."""
    leading = (time_steps, 1) if order[0] == 'T' else (1,) if shape[0] == 1 else (time_steps,)
    return shape[: len(leading)] == leading and all(shape)


def channels_of(module: nn.Module) -> str:
    """Tell where a module has its channels: 'first', 'last', or 'any' for unknown."""
    # exact types: a subclass of Linear may view its rows as something else, and one of LayerNorm transpose
    last = type(module) is nn.Linear or (type(module) is nn.LayerNorm and len(module.normalized_shape) == 1)
    return 'first' if isinstance(module, _CHANNELS_FIRST) else 'last' if last else 'any'
