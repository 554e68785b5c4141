"""What aten's operations do to a `Block`: each computes the part of its result that may not be zero.

A handler gets the operation and its arguments and returns the result, or NotImplemented for arguments that it does not
know; then the operation gets the full tensors. Every operation here is linear in the block.
"""

import math

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map

from .blocks import Block, at, dense, place, same, shrink, wrap

aten = torch.ops.aten


def run(func, args: tuple, kwargs: dict):
    """Run an operation on blocks."""
    handler = _HANDLERS.get(func.overloadpacket)
    if handler is not None:
        result = handler(func, args, kwargs)
        if result is not NotImplemented:
            return result
    return _fall_back(func, args, kwargs)


def _fall_back(func, args, kwargs):
    written = [a for a, s in zip(args, func._schema.arguments) if s.alias_info is not None and s.alias_info.is_write]
    full = {id(a): a.dense() for a in tree_flatten((args, kwargs))[0] if isinstance(a, Block)}
    args_, kwargs_ = tree_map(lambda a: full.get(id(a), a) if isinstance(a, Block) else a, (args, kwargs))
    result = func(*args_, **kwargs_)
    for block in written:
        if isinstance(block, Block):
            block.values, block.where = full[id(block)], (None,) * block.ndim
            return block
    return tree_map(shrink, result) if not written else result


def _pointwise(func, args, kwargs):
    """Element by element, zero where the first block is; other tensors may broadcast."""
    tensors = [a for a in args if isinstance(a, Tensor)]
    block = next((a for a in tensors if isinstance(a, Block)), None)
    if block is None:
        return NotImplemented
    shape = torch.broadcast_shapes(*(a.shape for a in tensors))
    extra = len(shape) - block.ndim
    if any(s != n for s, n in zip(block.shape, shape[extra:])):
        return NotImplemented
    where = (None,) * extra + block.where
    part = [a.values if a is block else at(dense(a), where) if isinstance(a, Tensor) else a for a in args]
    return wrap(func(*part, **kwargs), where, shape)


def _first(func, args, kwargs):
    """As `_pointwise`, if the block is the first argument."""
    return _pointwise(func, args, kwargs) if isinstance(args[0], Block) else NotImplemented


def _where(func, args, kwargs):
    condition, *rest = args
    blocks = [a for a in rest if isinstance(a, Block)]
    others = [a for a in rest if not isinstance(a, Block)]
    zero = all(a == 0 if not isinstance(a, Tensor) else not a.ndim and not a.any() for a in others)
    return (
        _pointwise(func, args, kwargs)
        if len(blocks) == 1 and zero and not isinstance(condition, Block)
        else NotImplemented
    )


def _masked_fill(func, args, kwargs):
    return _first(func, args, kwargs) if not isinstance(args[2], Tensor) and args[2] == 0 else NotImplemented


def _add(func, args, kwargs):
    a, b = args
    tensors = all(isinstance(t, Tensor) for t in args)
    if (
        not tensors
        or a.shape != b.shape
        or a.dtype != b.dtype
        or (func.overloadpacket is aten.add_ and isinstance(a, Block))
    ):
        return NotImplemented
    sign = -1 if func.overloadpacket is aten.sub else 1
    factor = sign * kwargs.get('alpha', 1)
    if isinstance(a, Block) and isinstance(b, Block):
        if same(a.where, b.where):
            return wrap(func(a.values, b.values, **kwargs), a.where, a.shape)
        where = tuple(None if v is None or w is None else np.union1d(v, w) for v, w in zip(a.where, b.where))
        if math.prod(s if w is None else len(w) for w, s in zip(where, a.shape)) > a.numel() // 2:
            a = a.dense()
        else:
            total = a.spread(where)
            total = total.clone() if total is a.values else total
            total += factor * b.spread(where)
            return wrap(total, where, a.shape)
    if isinstance(b, Block):
        out = a if func.overloadpacket is aten.add_ else a.clone()
        place(out, b.where, b.values if factor == 1 else factor * b.values)
    else:
        out = b.clone() if factor == 1 else factor * b
        place(out, a.where, a.values)
    return out


def _view(func, args, kwargs):
    """Put axes together and take them apart; positions follow, in the smallest block that holds them."""
    block, size = args[0], list(args[1])
    if -1 in size:
        known = -math.prod(size)
        size[size.index(-1)] = block.numel() // known if known else 0
    old, i, j = list(block.shape), 0, 0
    flat, new, where, moves = [], [], [], []
    while i < len(old) or j < len(size):
        rows, columns = i, j
        a = b = 1
        while a != b or (rows == i and columns == j):
            if (a <= b and rows < len(old)) or columns == len(size):
                a, rows = a * old[rows], rows + 1
            else:
                b, columns = b * size[columns], columns + 1
        parts, sizes = block.where[i:rows], size[j:columns]
        if all(w is None for w in parts):
            flat.append(a)
            new += sizes
            where += [None] * len(sizes)
        else:
            positions = np.zeros(1, int)
            for w, s in zip(parts, old[i:rows]):
                positions = (positions[:, None] * s + (np.arange(s) if w is None else w)).ravel()
            found = [np.unique(c, return_inverse=True) for c in np.unravel_index(positions, sizes)] if sizes else []
            lengths = [len(u) for u, _ in found]
            flat.append(len(positions))
            if math.prod(lengths) != len(positions):
                to = np.ravel_multi_index([inverse.ravel() for _, inverse in found], lengths)
                moves.append((len(flat) - 1, to, math.prod(lengths)))
            new += lengths
            where += [u for u, _ in found]
        i, j = rows, columns
    values = block.values.reshape(flat)
    for axis, to, length in moves:
        moved = values.new_zeros([length if d == axis else s for d, s in enumerate(values.shape)])
        place(moved, tuple(to if d == axis else None for d in range(values.ndim)), values)
        values = moved
    return wrap(values.reshape(new), where, size)


def _permute(func, args, kwargs):
    block, n = args[0], args[0].ndim
    if func.overloadpacket is aten.permute:
        dims = [d % n for d in args[1]]
    else:
        a, b = args[1:] if len(args) == 3 else (0, min(1, n - 1))
        dims = list(range(n))
        dims[a % n], dims[b % n] = b % n, a % n
    return Block(block.values.permute(dims), tuple(block.where[d] for d in dims), [block.shape[d] for d in dims])


def _unsqueeze(func, args, kwargs):
    block, d = args
    d %= block.ndim + 1
    shape = list(block.shape)
    shape.insert(d, 1)
    return Block(block.values.unsqueeze(d), (*block.where[:d], None, *block.where[d:]), shape)


def _squeeze(func, args, kwargs):
    block, n = args[0], args[0].ndim
    dims = range(n) if len(args) == 1 else [args[1]] if isinstance(args[1], int) else args[1]
    gone = {d % n for d in dims if block.shape[d] == 1}
    kept = [d for d in range(n) if d not in gone]
    values = block.values.reshape([block.values.shape[d] for d in kept])
    return Block(values, tuple(block.where[d] for d in kept), [block.shape[d] for d in kept])


def _expand(func, args, kwargs):
    block, size = args[0], list(args[1])
    extra = len(size) - block.ndim
    size = [block.shape[d - extra] if s == -1 else s for d, s in enumerate(size)]
    grown = [d < extra or block.shape[d - extra] != s for d, s in enumerate(size)]
    where = [None if g else block.where[d - extra] for d, g in enumerate(grown)]
    return wrap(block.values.expand([s if w is None else len(w) for w, s in zip(where, size)]), where, size)


def _sum(func, args, kwargs):
    block, n = args[0], args[0].ndim
    if len(args) < 2 or not args[1]:
        return NotImplemented
    keep = args[2] if len(args) > 2 else False
    gone = {d % n for d in args[1]}
    kept = [d for d in range(n) if keep or d not in gone]
    where = [None if d in gone else block.where[d] for d in kept]
    return wrap(func(block.values, *args[1:], **kwargs), where, [1 if d in gone else block.shape[d] for d in kept])


def _slice(func, args, kwargs):
    block, d, start, end, step = (*args, *(0, None, None, 1)[len(args) - 1 :])
    d %= block.ndim
    picked = np.arange(block.shape[d])[start:end:step]
    shape = [len(picked) if i == d else s for i, s in enumerate(block.shape)]
    w = np.arange(block.shape[d]) if block.where[d] is None else block.where[d]
    both, here, there = np.intersect1d(w, picked, return_indices=True)
    if not len(both):
        return block.values.new_zeros(shape)
    values = at(block.values, tuple(here if i == d else None for i in range(block.ndim)))
    return wrap(values, [there if i == d else w for i, w in enumerate(block.where)], shape)


def _slice_backward(func, args, kwargs):
    block, sizes, d, start, end, step = args
    d %= len(sizes)
    picked = np.arange(sizes[d])[start:end:step]
    where = list(block.where)
    where[d] = picked if where[d] is None else picked[where[d]]
    return wrap(block.values, where, sizes)


def _select_backward(func, args, kwargs):
    block, sizes, d, i = args
    d %= len(sizes)
    where = list(block.where)
    where.insert(d, np.array([i % sizes[d]]))
    return wrap(block.values.unsqueeze(d), where, sizes)


def _pad(func, args, kwargs):
    """Padding with zeros, and cropping, its gradient."""
    block, pads = args[0], args[1]
    if len(args) > 2 and args[2] != 0:
        return NotImplemented
    values, where, shape = block.values, list(block.where), list(block.shape)
    for d, (before, behind) in zip(reversed(range(block.ndim)), zip(pads[::2], pads[1::2])):
        w = np.arange(shape[d]) if where[d] is None else where[d]
        shape[d] += before + behind
        inside = np.flatnonzero((w + before >= 0) & (w + before < shape[d]))
        if not len(inside):
            return NotImplemented
        values = at(values, tuple(inside if i == d else None for i in range(block.ndim)))
        where[d] = w[inside] + before
    return wrap(values, where, shape)


def _roll(func, args, kwargs):
    block, shifts, dims = (*args, ())[:3]
    if not dims:
        return NotImplemented
    values, where = block.values, list(block.where)
    for shift, d in zip(shifts, dims):
        d %= block.ndim
        if where[d] is None:
            values = values.roll(shift, d)
        else:
            moved = (where[d] + shift) % block.shape[d]
            order = np.argsort(moved)
            values = values.index_select(d, torch.from_numpy(order).to(values.device))
            where[d] = moved[order]
    return Block(values, tuple(where), block.shape)


def _cat(func, args, kwargs):
    parts, d = [shrink(p) for p in args[0]], (args[1] if len(args) > 1 else 0)
    if func.overloadpacket is aten.stack:
        d %= parts[0].ndim + 1
        parts = [p.unsqueeze(d) for p in parts]
    if not all(isinstance(p, Block) and p.ndim == parts[0].ndim for p in parts):
        return NotImplemented
    n = parts[0].ndim
    d %= n
    where = [
        None if any(p.where[i] is None for p in parts) else np.unique(np.concatenate([p.where[i] for p in parts]))
        for i in range(n)
    ]
    values, along, start = [], [], 0
    for p in parts:
        values.append(p.spread(tuple(p.where[d] if i == d else w for i, w in enumerate(where))))
        along.append(start + (np.arange(p.shape[d]) if p.where[d] is None else p.where[d]))
        start += p.shape[d]
    where[d] = np.concatenate(along)
    return wrap(torch.cat(values, d), where, [start if i == d else s for i, s in enumerate(parts[0].shape)])


def _matmul(func, args, kwargs):
    a, b = args
    if isinstance(a, Block):
        b = dense(b)
        other = at(b, (*a.where[:-2], a.where[-1], None))
        return wrap(func(a.values, other), (*a.where[:-1], None), (*a.shape[:-1], b.shape[-1]))
    other = at(a, (*b.where[:-2], None, b.where[-2]))
    return wrap(func(other, b.values), (*b.where[:-2], None, b.where[-1]), (*a.shape[:-1], b.shape[-1]))


def _convolution(func, args, kwargs):
    """Gradient of the input of a convolution: a window of the size of the kernel around every position."""
    grad, x, weight, bias, stride, padding, dilation, transposed, output_padding, groups, mask = args
    if transposed or not isinstance(grad, Block) or isinstance(x, Block) or list(mask) != [True, False, False]:
        return NotImplemented
    n = weight.ndim - 2
    stride, padding, dilation = ([*v] * (n if len(v) == 1 else 1) for v in (stride, padding, dilation))
    kernel = weight.shape[2:]
    grad = grad.solid([1], full=True).solid([d + 2 for d in range(n) if kernel[d] > 1 or padding[d]])
    where, lengths, cuts = list(grad.where), [], []
    for d in range(n):
        w, k = where[d + 2], kernel[d]
        w = np.arange(grad.shape[d + 2]) if w is None else w
        if k == 1 and not padding[d]:
            where[d + 2] = w * stride[d]
            stride[d] = 1
            lengths.append(len(w))
            cuts.append((0, len(w)))
            continue
        lengths.append((len(w) - 1) * stride[d] + dilation[d] * (k - 1) + 1)
        first = int(w[0]) * stride[d] - padding[d]
        low, high = max(first, 0), min(first + lengths[-1], x.shape[d + 2])
        if high <= low:
            return NotImplemented
        cuts.append((low - first, high - low))
        where[d + 2] = np.arange(low, high)
    like = x.new_empty((grad.values.shape[0], x.shape[1], *lengths))  # only its shape counts, it is never touched
    values = func(
        grad.values, like, weight, bias, stride, [0] * n, dilation, False, output_padding, groups, [True, False, False]
    )[0]
    for d, (start, length) in enumerate(cuts):
        values = values.narrow(d + 2, start, length)
    return wrap(values, where, x.shape), None, None


def _batch_norm(func, args, kwargs):
    grad, x, weight, mean, variance, _, _, train, eps, mask = args
    if train or not isinstance(grad, Block) or list(mask) != [True, False, False] or variance is None:
        return NotImplemented
    scale = torch.rsqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    scale = at(scale, grad.where[1:2]).view(-1, *[1] * (grad.ndim - 2))
    return Block((grad.values * scale).to(grad.dtype), grad.where, grad.shape), None, None


def _layer_norm(func, args, kwargs):
    grad, x, normalized, mean, rstd, weight, bias, mask = args
    if not isinstance(grad, Block) or list(mask) != [True, False, False]:
        return NotImplemented
    grad = grad.solid(range(grad.ndim - len(normalized), grad.ndim), full=True)
    x, mean, rstd = (at(t, grad.where) for t in (dense(x), mean, rstd))
    values = func(
        grad.values.contiguous(), x.contiguous(), normalized, mean.contiguous(), rstd.contiguous(), weight, bias, mask
    )[0]
    return Block(values, grad.where, grad.shape), None, None


def _softmax(func, args, kwargs):
    grad, output, d, dtype = args
    if not isinstance(grad, Block):
        return NotImplemented
    grad = grad.solid([d % grad.ndim], full=True)
    return wrap(func(grad.values, at(dense(output), grad.where), d, dtype), grad.where, grad.shape)


def _attention(func, args, kwargs):
    """Rows of the queries, heads and images (or windows) without gradient add nothing."""
    grad, query, key, value, out, logsumexp, dropout, causal = args[:8]
    mask = kwargs.get('attn_mask')
    if not isinstance(grad, Block) or causal or dropout or any(isinstance(a, Block) for a in args[1:]):
        return NotImplemented
    grad = grad.solid([3], full=True)
    rows, heads = grad.where, (*grad.where[:2], None, None)
    if mask is not None:
        kwargs = {**kwargs, 'attn_mask': at(mask, rows)}
    part = [at(query, rows), at(key, heads), at(value, heads), at(out, rows), at(logsumexp, rows[:3])]
    found = func(grad.values.contiguous(), *part, dropout, causal, **kwargs)
    return tuple(wrap(g, w, t.shape) for g, w, t in zip(found, (rows, heads, heads), (query, key, value)))


def _max_pool(func, args, kwargs):
    grad, x, kernel, stride, padding, dilation, ceil_mode, indices = args
    if not isinstance(grad, Block) or isinstance(x, Block) or grad.ndim != 4:
        return NotImplemented
    kernel, stride, padding, dilation = (list(v) * (3 - len(v)) for v in (kernel, stride or kernel, padding, dilation))
    grad = grad.solid([2, 3])
    low, high = [], []
    for d in range(2):
        w = grad.where[d + 2]
        first, last = (0, grad.shape[d + 2] - 1) if w is None else (int(w[0]), int(w[-1]))
        low.append(max(first * stride[d] - padding[d], 0))
        high.append(min(last * stride[d] - padding[d] + dilation[d] * (kernel[d] - 1) + 1, x.shape[d + 2]))
    indices = at(indices, grad.where)
    width, columns = x.shape[3], high[1] - low[1]
    indices = (indices.div(width, rounding_mode='floor') - low[0]) * columns + indices % width - low[1]
    values = grad.values.new_zeros((*grad.values.shape[:2], (high[0] - low[0]) * columns))
    values.scatter_add_(2, indices.flatten(2), grad.values.flatten(2))
    where = (*grad.where[:2], *(np.arange(a, b) for a, b in zip(low, high)))
    return wrap(values.unflatten(2, (-1, columns)), where, x.shape)


def _avg_pool(func, args, kwargs):
    grad, x, kernel, stride, padding, ceil_mode, include, divisor = args
    if not isinstance(grad, Block) or isinstance(x, Block) or any(padding) or grad.ndim != 4:
        return NotImplemented
    kernel, stride = (list(v) * (3 - len(v)) for v in (kernel, stride or kernel))
    if ceil_mode and any((s - k) % t for s, k, t in zip(x.shape[2:], kernel, stride)):
        return NotImplemented  # windows beyond the border have fewer elements
    grad = grad.solid([2, 3])
    where, lengths = list(grad.where), []
    for d in range(2):
        w = np.arange(grad.shape[d + 2]) if where[d + 2] is None else where[d + 2]
        lengths.append((len(w) - 1) * stride[d] + kernel[d])
        where[d + 2] = int(w[0]) * stride[d] + np.arange(lengths[-1])
    like = x.new_empty((*grad.values.shape[:2], *lengths))
    values = func(grad.values.contiguous(), like, kernel, stride, [0, 0], False, include, divisor)
    return wrap(values, where, x.shape)


_POINTWISE = (
    'mul neg clone detach alias _to_copy threshold_backward gelu_backward silu_backward sigmoid_backward tanh_backward '
    'hardtanh_backward hardswish_backward hardsigmoid_backward leaky_relu_backward softplus_backward mish_backward'
)
_HANDLERS = {getattr(aten, name): _pointwise if name == 'mul' else _first for name in _POINTWISE.split()}
_HANDLERS.update({
    aten.div: _first, aten.elu_backward: _first, aten.where: _where, aten.masked_fill: _masked_fill,
    aten.add: _add, aten.add_: _add, aten.sub: _add, aten.sum: _sum, aten.mm: _matmul, aten.bmm: _matmul, aten.cat: _cat, aten.stack: _cat,
    aten.view: _view, aten._unsafe_view: _view, aten._reshape_alias: _view, aten.reshape: _view,
    aten.permute: _permute, aten.transpose: _permute, aten.t: _permute, aten.expand: _expand,
    aten.squeeze: _squeeze, aten.unsqueeze: _unsqueeze, aten.roll: _roll, aten.constant_pad_nd: _pad,
    aten.slice: _slice, aten.slice_backward: _slice_backward, aten.select_backward: _select_backward,
    aten.convolution_backward: _convolution, aten.native_batch_norm_backward: _batch_norm,
    aten.native_layer_norm_backward: _layer_norm, aten._softmax_backward_data: _softmax,
    aten._log_softmax_backward_data: _softmax, aten.max_pool2d_with_indices_backward: _max_pool,
    aten.avg_pool2d_backward: _avg_pool,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention,
})  # fmt: skip
