"""Which rectangle of its input an autograd op reads for a rectangle of its output: the ops that are known to be local.

What is not listed here is not local. Where rows and columns stand is read from the axes (see `atoms`).
"""

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Optional

import torch

from .atoms import Axes, dim_of, merged, sizes


class NotLocal(Exception):
    """An op is global, or not known."""


class Step(NamedTuple):
    """Along one axis: output o reads the inputs from floor((o mul + first) / div) to floor((o mul + last) / div).

    `behind` is what the op appends; it changes no reading, but has to be equal in graphs that are compared.
    """

    mul: int = 1
    first: int = 0
    last: int = 0
    div: int = 1
    behind: int = 0

    def back(self, low: int, high: int) -> tuple[int, int]:
        """Return the first and the last input that outputs from `low` to `high` read."""
        low, high = (low * self.mul + self.first) // self.div, (high * self.mul + self.last) // self.div
        return min(low, high), max(low, high)


SAME = (Step(), Step())


class Grid(NamedTuple):
    """Where positions stand: (h, w), and the axes of rows and columns (equal for tokens)."""

    size: tuple[int, int]
    rows: int
    columns: int


def grid_of(axes: Axes) -> Grid:
    """Return where rows and columns stand in a tensor, whatever is between them.

    Raises:
        NotLocal: If there are none, or not all of each in one place.
    """
    places: dict = {'H': [], 'W': []}
    for d, atoms in enumerate(axes):
        for atom in merged(atoms):
            if atom.source in places:
                places[atom.source].append((d, atom))
            elif atom.source != '-':
                raise NotLocal
    if any(len(p) != 1 or not p[0][1].top or p[0][1].inner != 1 for p in places.values()):
        raise NotLocal
    (rows, h), (columns, w) = places['H'][0], places['W'][0]
    return Grid((h.size, w.size), rows, columns)


def _spatial(atoms) -> bool:
    return any(a.source != '-' for a in atoms)


def _placed(parent: Axes, out: Axes) -> None:
    """Check that a tensor has its positions where the one it is broadcast to has them."""
    grid_of(parent)
    for d in range(1, len(out) + 1):
        a, b = (axes[-d] if d <= len(axes) else () for axes in (parent, out))
        if (_spatial(a) or _spatial(b)) and merged(a) != merged(b):
            raise NotLocal


def _pointwise(node, index, parents, out) -> tuple[Step, Step]:
    for parent in parents:
        if parent is not None:
            _placed(parent, out)
    return SAME


def _view(node, index, parents, out) -> tuple[Step, Step]:
    """Positions move to other axes, and stay what they are."""
    for parent in parents:
        if parent is not None and grid_of(parent).size != grid_of(out).size:
            raise NotLocal
    return SAME


def _cat(node, index, parents, out) -> tuple[Step, Step]:
    dim = dim_of(node._saved_dim, len(out))
    joined = out if node.name().startswith('Cat') else out[:dim] + out[dim + 1 :]
    if _spatial(out[dim]):
        raise NotLocal
    return _pointwise(node, index, parents, joined)


def _slice(node, index, parents, out) -> tuple[Step, Step]:
    (parent,) = parents
    dim, grid = dim_of(node._saved_dim, len(out)), grid_of(parent)
    if not _spatial(parent[dim]):
        return _pointwise(node, index, parents, out)
    start, step, length = int(node._saved_start or 0), int(node._saved_step), sizes(parent)[dim]
    start = start - 2**64 if start >= 2**63 else start
    end = int(node._saved_end if node._saved_end is not None else length)
    if grid.rows == grid.columns or len(merged(parent[dim])) > 1 or start < 0 or length > end:
        raise NotLocal
    cut = Step(step, start, start)
    return (cut, Step()) if dim == grid.rows else (Step(), cut)


def _reduction(node, index, parents, out) -> tuple[Step, Step]:
    (parent,) = (p for p in parents if p is not None)
    return _view(node, index, [parent], out)


def _along(node, index, parents, out) -> tuple[Step, Step]:
    """Softmaxes."""
    if _spatial(out[dim_of(node._saved_dim, len(out))]):
        raise NotLocal
    return _pointwise(node, index, parents, out)


def _layer_norm(node, index, parents, out) -> tuple[Step, Step]:
    if any(_spatial(atoms) for atoms in out[len(out) - len(node._saved_normalized_shape) :]):
        raise NotLocal
    return _pointwise(node, index, parents, out)


def _batch_norm(node, index, parents, out) -> tuple[Step, Step]:
    if node._saved_training or _spatial(out[1]):
        raise NotLocal
    return _pointwise(node, index, parents, out)


def _matmul(node, index, parents, out) -> tuple[Step, Step]:
    """With a constant, over an axis without positions: a linear layer."""
    a, b = parents[-2:]
    if (a is None) == (b is None):
        raise NotLocal
    if _spatial(b[-2] if a is None else a[-1]):
        raise NotLocal
    return _view(node, index, [a if b is None else b], out)


def _numbers(value, length: int) -> list[int]:
    value = [int(v) for v in value] if isinstance(value, Sequence) else [int(value)]
    return value * length if len(value) == 1 else value


def _sliding(parent: Axes, out: Axes, kinds: Sequence[Step]) -> tuple[Step, Step]:
    """A window that slides along the last axes."""
    found, grid = [Step(), Step()], grid_of(parent)
    if grid_of(out)[1:] != grid[1:]:
        raise NotLocal
    for d, step in zip(range(len(parent) - len(kinds), len(parent)), kinds):
        if not _spatial(parent[d]):
            continue
        if grid.rows == grid.columns or len(merged(parent[d])) > 1:
            if step != Step():
                raise NotLocal  # along tokens
        else:
            found[d != grid.rows] = step
    return tuple(found)


def _conv(node, index, parents, out) -> tuple[Step, Step]:
    parent, *others = parents
    kernel = node._saved_weight.shape[2:]
    if parent is None or any(p is not None for p in others):
        raise NotLocal
    n = len(kernel)
    steps = []
    settings = (node._saved_stride, node._saved_padding, node._saved_dilation, node._saved_output_padding)
    for d, (k, s, p, dilation, extra) in enumerate(zip(kernel, *(_numbers(v, n) for v in settings))):
        reach = dilation * (k - 1)
        if not node._saved_transposed:
            steps.append(Step(s, -p, reach - p))
            continue
        before, behind = sizes(parent)[2 + d], sizes(out)[2 + d]
        if behind != before * s:
            raise NotLocal  # later maps would have other sizes in a crop
        steps.append(Step(1, p - reach + s - 1, p, s, extra))
    return _sliding(parent, out, steps)


def _pool(node, index, parents, out) -> tuple[Step, Step]:
    (parent,) = parents
    n = 1 if '1D' in node.name() else 3 if '3D' in node.name() else 2
    kernel = _numbers(node._saved_kernel_size, n)
    stride = _numbers(node._saved_stride, n) if len(node._saved_stride) else kernel
    settings = (node._saved_padding, getattr(node, '_saved_dilation', (1,)))
    padding, dilation = (_numbers(v, n) for v in settings)
    steps = [Step(s, -p, d * (k - 1) - p) for k, s, p, d in zip(kernel, stride, padding, dilation)]
    return _sliding(parent, out, steps)


def _pad(node, index, parents, out) -> tuple[Step, Step]:
    (parent,), pads = parents, [int(p) for p in node._saved_pad]
    if min(pads) < 0:
        raise NotLocal
    steps = [Step(1, -before, -before, 1, behind) for before, behind in zip(pads[::2], pads[1::2])]
    return _sliding(parent, out, steps[::-1])


def _upsample(node, index, parents, out) -> tuple[Step, Step]:
    """By powers of two, whose places are exact in floating point."""
    (parent,), steps = parents, []
    for before, behind in zip(grid_of(parent).size, grid_of(out).size):
        factor = behind // before
        if behind != factor * before or factor & (factor - 1):
            raise NotLocal
        if 'Nearest' in node.name():
            steps.append(Step(1, 0, 0, factor))
        elif node._saved_align_corners:
            raise NotLocal
        else:  # places (o + 1/2) / factor - 1/2, between two inputs
            steps.append(Step(2, 1 - factor, 1 + factor, 2 * factor))
    if {getattr(node, f'_saved_scales_{d}') for d in 'hw'} - {None, *(s.div / s.mul for s in steps)}:
        raise NotLocal  # what the scale says counts, not the sizes
    return _sliding(parent, out, steps)


def _custom(node, index, parents, out) -> tuple[Step, Step]:
    """The functions of spiking neurons, which work on every element by itself."""
    where = getattr(type(node), '_forward_cls', type(node)).__module__
    known = where.startswith('mmsterf.snn.') or re.search(_SURROGATES, where) or re.match(_NEURONS, node.name())
    if not known:
        raise NotLocal
    return _pointwise(node, index, parents, out)


_SURROGATES = r'spikingjelly\.(.*\.)?(surrogate|quantize|neuron)\b'
_NEURONS = r'GeneratedBackwardFor_sj_(if|[ilpceq]+if|stbif|izhikevich|activation_aware_if)_(?!linear)'
_POINTWISE = (
    'Add Sub Rsub Mul Div Neg Abs Sgn Sign Relu Threshold LeakyRelu Hardtanh Hardswish Hardsigmoid Silu Gelu Elu '
    'Softplus Mish Sigmoid LogSigmoid Tanh Clamp ClampMin ClampMax Minimum Maximum Where MaskedFill PreluKernel Exp '
    'Expm1 Log Log1P Log2 Sqrt Rsqrt Reciprocal Pow Square Sin Cos Erf Round Floor Ceil Trunc Lerp Addcmul Addcdiv '
    'ToCopy Clone Alias Expand Fill'
)
_VIEWS = 'View UnsafeView ReshapeAlias Squeeze Unsqueeze Permute Transpose T Split SplitWithSizes Unbind Select'
_RULES: dict[str, Callable] = {
    **dict.fromkeys(_POINTWISE.split(), _pointwise),
    **dict.fromkeys(_VIEWS.split(), _view),
    **dict.fromkeys(('Cat', 'Stack'), _cat),
    **dict.fromkeys(('Mean', 'Sum', 'Amax', 'Amin', 'Max', 'Min'), _reduction),
    **dict.fromkeys(('Softmax', 'LogSoftmax'), _along),
    **dict.fromkeys(('NativeLayerNorm', 'FusedRmsNorm'), _layer_norm),
    **dict.fromkeys(('NativeBatchNorm', 'CudnnBatchNorm', 'MiopenBatchNorm'), _batch_norm),
    **dict.fromkeys(('Mm', 'Addmm', 'Bmm', 'Baddbmm'), _matmul),
    **dict.fromkeys(('Convolution', 'ConvolutionOverrideable'), _conv),
    **dict.fromkeys(('MaxPool2DWithIndices', 'MaxPool3DWithIndices', 'AvgPool2D', 'AvgPool3D'), _pool),
    **dict.fromkeys(('UpsampleNearest2D', 'UpsampleNearestExact2D', 'UpsampleBilinear2D'), _upsample),
    'Slice': _slice,
    'ConstantPadNd': _pad,
}


def steps_of(node, index: int, parents: list[Optional[Axes]], out: Axes) -> tuple[Step, Step]:
    """Return what an op reads, along rows and along columns.

    Args:
        node: The op.
        index: Of its output.
        parents: Axes of its inputs; None for those without gradient, which are constants.
        out: Axes of its output.

    Raises:
        NotLocal: If that is not known.
    """
    grid_of(out)
    if isinstance(node, torch.autograd.function.BackwardCFunction):
        return _custom(node, index, parents, out)
    rule = _RULES.get(re.sub(r'Backward\d*$', '', node.name()))
    if rule is None or not any(p is not None for p in parents):
        raise NotLocal
    return rule(node, index, parents, out)
