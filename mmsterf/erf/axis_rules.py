"""What autograd's ops do to the axes of a tensor, one function per kind.

A rule takes the node, the index of its output, the output's shape, and the axes of its inputs (None for those without
gradient), and returns the axes of the output, or None if it is not understood.
"""

import math
from collections.abc import Callable
from typing import Optional

from .atoms import LEVELS, NONE, TOKENS, UNKNOWN, Atom, Axes, better, dim_of, merged, plain, resized, sizes
from .regions import is_sampling, sampled

_RESIZING = ('Convolution', 'ConvolutionOverrideable', 'SlowConv', 'ThnnConv', 'Mkldnn', 'Cudnn', 'Miopen')
_POOLING = ('MaxPool', 'AvgPool', 'AdaptiveMaxPool', 'AdaptiveAvgPool', 'MkldnnMaxPool', 'FractionalMaxPool')
_SIZING = ('Upsample', 'ConstantPad', 'ReflectionPad', 'ReplicationPad')
_VIEWS = ('View', 'UnsafeView', 'ReshapeAlias', 'Squeeze', 'Unsqueeze')
_CHANNEL_FREE = {'Mm': (0, 1), 'Addmm': (1, 2), 'Bmm': (0, 1), 'Baddbmm': (1, 2)}
_REDUCTIONS = ('Mean', 'Sum', 'Amax', 'Amin', 'Max', 'Min', 'LinalgVectorNorm', 'Norm', 'Std', 'Var', 'Logsumexp')


def _elementwise(node, index, shape, parents) -> Optional[Axes]:
    """Any op whose output has the (broadcast) shape of its inputs; other shapes are not understood."""
    out = list(plain(shape))
    found = False
    for parent in parents:
        if parent is None or len(parent) > len(shape):
            continue
        offset = len(shape) - len(parent)
        lengths = sizes(parent)
        if any(s not in (1, shape[offset + d]) for d, s in enumerate(lengths)):
            continue
        found = True
        for d, atoms in enumerate(parent):
            if lengths[d] == shape[offset + d] and better(atoms, out[offset + d]):
                out[offset + d] = atoms
    return tuple(out) if found else None


def _first(parents) -> Axes:
    return next(p for p in parents if p is not None)


def _conv(node, index, shape, parents) -> Optional[Axes]:
    if parents[0] is None:
        return plain(shape)
    spatial = [_slid(atoms, s) for atoms, s in zip(parents[0][2:], shape[2:])]
    return (parents[0][0], (Atom(NONE, shape[1]),), *spatial)


def _pool(node, index, shape, parents) -> Axes:
    return tuple(_slid(atoms, s) for atoms, s in zip(_first(parents), shape))


def _resize(node, index, shape, parents) -> Axes:
    return tuple(resized(atoms, s) for atoms, s in zip(_first(parents), shape))


def _slid(atoms, size: int) -> tuple:
    """An axis that a window slid along: a row of tokens that shrinks becomes runs of tokens, which are no grid."""
    pieces = merged(atoms)
    tokens = pieces[0].source == TOKENS or {'H', 'W'} <= {a.source for a in pieces}
    return (Atom(NONE, size),) if tokens and size != math.prod(a.size for a in pieces) else resized(atoms, size)


def _permute(node, index, shape, parents) -> Axes:
    axes = parents[0]
    return tuple(axes[dim_of(d, len(axes))] for d in node._saved_dims)


def _transpose(node, index, shape, parents) -> Axes:
    axes = list(parents[0])
    a, b = (0, 1) if node.name().startswith('TBackward') else (node._saved_dim0, node._saved_dim1)
    a, b = dim_of(a, len(axes)), dim_of(b, len(axes))
    axes[a], axes[b] = axes[b], axes[a]
    return tuple(axes)


def _reshape(node, index, shape, parents) -> Axes:
    """Deal the atoms out to the new axes, cut where they must be; what a cut scrambles is not understood."""
    parent = _first(parents)
    if sizes(parent) == tuple(shape):
        return parent
    atoms = [a for axis in parent for a in merged(axis) if a.size > 1]
    out = []
    for size in shape:
        taken, product = [], 1
        while product < size:
            a, need = atoms.pop(0), size // product
            if need % a.size == 0:
                taken.append(a)
                product *= a.size
            elif a.size % need == 0 and a.source not in (TOKENS, LEVELS) and size % product == 0:
                fine = a.size // need
                taken.append(Atom(a.source, need, a.inner * fine, a.top))
                atoms.insert(0, Atom(a.source, fine, a.inner, a.top and a.source in (NONE, UNKNOWN)))
                product *= need
            else:
                return None
        out.append(tuple(merged(taken)) if taken else (Atom(NONE, 1),))
    return tuple(out)


def _matmul(node, index, shape, parents) -> Axes:
    a, b = _CHANNEL_FREE[node.name().split('Backward')[0]]
    a, b = parents[a], parents[b]
    out = list(plain(shape))
    for d in range(len(shape) - 2):
        for axes in (a, b):
            if axes is not None and better(axes[d], out[d]):
                out[d] = axes[d]
    out[-2] = a[-2] if a is not None else out[-2]
    out[-1] = b[-1] if b is not None else out[-1]
    return tuple(out)


def _attention(node, index, shape, parents) -> Axes:
    """Rows are the queries', whatever the keys are."""
    if index:
        return plain(shape)
    query, value = parents[0], parents[2] if len(parents) > 2 else None
    rows = query if query is not None else plain(shape)
    return (*rows[:-1], value[-1] if value is not None else (Atom(NONE, shape[-1]),))


def _cat(node, index, shape, parents) -> Axes:
    """A grid in front of and behind other tokens stays one; several grids in a row are levels, which can be cut out."""
    dim = dim_of(node._saved_dim, len(shape))
    parts = [p for p in parents if p is not None]
    out = list(_elementwise(node, index, (*shape[:dim], 1, *shape[dim + 1 :]), [
        tuple(a if d != dim else (Atom(NONE, 1),) for d, a in enumerate(p)) for p in parts]))  # fmt: skip
    lengths = [None if p is None else sizes(p)[dim] for p in parents]
    missing = lengths.count(None)
    rest = shape[dim] - sum(s for s in lengths if s is not None)
    ones = lengths.count(1)  # a grid of one cell cannot be told from a token
    grids = [(i, p[dim]) for i, p in enumerate(parents) if p is not None and any(a.source != NONE for a in p[dim])]
    grids = [g for g in grids if lengths[g[0]] > 1] or grids
    out[dim] = (Atom(NONE, shape[dim]),)
    if grids:
        i, atoms = grids[0]
        # tensors without gradient have no size in the graph: constants are taken to stand in front, as class tokens do
        absent = [j for j, s in enumerate(lengths) if s is None]
        before = sum(s for s in lengths[:i] if s is not None)
        in_front = [j for j in absent if j < i]
        atoms = merged(atoms)
        if len(grids) > 1 and len(grids) + ones >= len(parents):
            out[dim] = (_levels([merged(p[dim]) for p in parents], shape[dim]),)
        elif len(grids) > 1 or (in_front and len(in_front) != missing):
            out[dim] = (Atom(UNKNOWN, shape[dim]),)
        else:
            out[dim] = (_tokens(atoms, before + (rest if in_front else 0), shape[dim]),)
    return tuple(out)


def _levels(parts: list, size: int) -> Atom:
    places, start = [], 0
    for atoms in parts:
        names = ''.join(a.source for a in atoms)
        if names == LEVELS:
            places += [(start + s, rows, columns) for s, rows, columns in atoms[0].tokens]
        elif names == 'HW':
            places.append((start, atoms[0].size, atoms[1].size))
        elif math.prod(a.size for a in atoms) == 1:
            places.append((start, 1, 1))
        else:
            return Atom(UNKNOWN, size)
        start += math.prod(a.size for a in atoms)
    return Atom(LEVELS, size, tokens=tuple(places))


def _tokens(atoms, before: int, size: int) -> Atom:
    names = ''.join(a.source for a in atoms)
    if names == TOKENS:
        before, names, (rows, columns) = before + atoms[0].tokens[0], 'HW', atoms[0].tokens[1:]
    elif names == 'HW':
        rows, columns = atoms[0].size, atoms[1].size
    elif names in ('H', 'W'):
        return Atom(names, size)  # padding by concatenation
    else:
        return Atom(UNKNOWN, size)
    return Atom(TOKENS, size, tokens=(before, rows, columns))


def _cut(atoms, start: int, size: int) -> tuple:
    """An axis from `start` on, `size` long."""
    pieces = merged(atoms)
    whole = math.prod(a.size for a in pieces)
    if size == whole:
        return tuple(pieces)
    if pieces[0].source == LEVELS:
        inside = [(s - start, r, c) for s, r, c in pieces[0].tokens if start <= s and s + r * c <= start + size]
        if sum(r * c for _, r, c in inside) != size:
            return (Atom(UNKNOWN, size),)
        (_, rows, columns), *more = inside
        return (Atom(LEVELS, size, tokens=tuple(inside)),) if more else (Atom('H', rows), Atom('W', columns))
    if len(pieces) > 1 or pieces[0].source == TOKENS:
        names = ''.join(a.source for a in pieces)
        if names not in ('HW', TOKENS):
            return (Atom(NONE if set(names) == {NONE} else UNKNOWN, size),)
        before, rows, columns = pieces[0].tokens if names == TOKENS else (0, pieces[0].size, pieces[1].size)
        if start + size <= before or start >= before + rows * columns:
            return (Atom(NONE, size),)  # class tokens alone
        if start > before or start + size < before + rows * columns:
            return (Atom(UNKNOWN, size),)
        if start == before and size == rows * columns:
            return Atom('H', rows), Atom('W', columns)
        return (Atom(TOKENS, size, tokens=(before - start, rows, columns)),)
    return resized(atoms, size)


def _slice(node, index, shape, parents) -> Axes:
    axes, dim = list(parents[0]), dim_of(node._saved_dim, len(shape))
    start = int(node._saved_start or 0)
    start = start - 2**64 if start >= 2**63 else start
    start = start + sizes(axes)[dim] if start < 0 else start
    axes[dim] = _cut(axes[dim], start, shape[dim])
    return tuple(axes)


def _split(node, index, shape, parents) -> Axes:
    axes, dim = list(parents[0]), dim_of(node._saved_dim, len(shape))
    parts = getattr(node, '_saved_split_sizes', None)
    start = sum(parts[:index]) if parts is not None else int(node._saved_split_size) * index
    axes[dim] = _cut(axes[dim], start, shape[dim])
    return tuple(axes)


def _select(node, index, shape, parents) -> Axes:
    dim = dim_of(node._saved_dim, len(shape) + 1)
    return tuple(a for d, a in enumerate(parents[0]) if d != dim)


def _stack(node, index, shape, parents) -> Axes:
    dim = dim_of(node._saved_dim, len(shape))
    axes = list(_elementwise(node, index, shape[:dim] + shape[dim + 1 :], parents))
    axes.insert(dim, (Atom(NONE, shape[dim]),))
    return tuple(axes)


def _expand(node, index, shape, parents) -> Axes:
    return _elementwise(node, index, shape, parents)


def _reduce(node, index, shape, parents) -> Optional[Axes]:
    axes = parents[0]
    if len(axes) == len(shape):
        # a mean over rows leaves a grid of one row
        return tuple(resized(a, s) for a, s in zip(axes, shape))
    dims = node._saved_dim
    gone = {dim_of(d, len(axes)) for d in (dims if isinstance(dims, (tuple, list)) else [dims])}
    return tuple(a for d, a in enumerate(axes) if d not in gone)


def _gather(node, index, shape, parents) -> Axes:
    axes, dim = list(parents[0]), dim_of(node._saved_dim, len(shape))
    axes[dim] = (Atom(NONE, shape[dim]),)  # the picked ones, as queries of two-stage decoders
    return tuple(resized(a, s) for a, s in zip(axes, shape))


def _unfold(node, index, shape, parents) -> Axes:
    """(C, H, W) to (C k k, L)."""
    steps = (node._saved_kernel_size, node._saved_dilation, node._saved_padding, node._saved_stride)
    grid = [
        (n + 2 * int(p) - int(d) * (int(k) - 1) - 1) // int(s) + 1
        for n, k, d, p, s in zip(sizes(parents[0])[-2:], *steps)
    ]
    rows, columns = (resized(a, n) for a, n in zip(parents[0][-2:], grid))
    return (*parents[0][:-3], (Atom(NONE, shape[-2]),), rows + columns)


def _fold(node, index, shape, parents) -> Optional[Axes]:
    pieces = merged(parents[0][-1])
    if ''.join(a.source for a in pieces) != 'HW':
        return None
    return (*parents[0][:-2], (Atom(NONE, shape[-3]),), (Atom('H', shape[-2]),), (Atom('W', shape[-1]),))


_RULES: list[tuple[str, Callable]] = [
    *((n, _matmul) for n in ('Mm', 'Addmm', 'Bmm', 'Baddbmm')),
    *((n, _conv) for n in _RESIZING),
    *((n, _pool) for n in _POOLING),
    *((n, _resize) for n in _SIZING),
    ('Permute', _permute),
    ('Transpose', _transpose),
    ('TBackward', _transpose),
    ('ScaledDotProduct', _attention),
    ('Cat', _cat),
    ('Slice', _slice),
    ('Split', _split),
    ('Select', _select),
    ('Unbind', _select),
    ('Stack', _stack),
    ('Expand', _expand),
    ('Gather', _gather),
    ('Im2Col', _unfold),
    ('Col2Im', _fold),
    *((n, _reshape) for n in _VIEWS),
    *((n + 'Backward', _reduce) for n in _REDUCTIONS),
]


def rule_of(name: str) -> Callable:
    """Return the rule of an autograd node's name; element by element for those without one."""
    if is_sampling(name):
        return sampled
    return next((rule for start, rule in _RULES if name.startswith(start)), _elementwise)
