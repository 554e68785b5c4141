"""What views, slices and joins do to a `Block` (see `block_ops`)."""

import math

import numpy as np
import torch

from .blocks import Block, at, place, shrink, wrap

aten = torch.ops.aten


def view(func, args, kwargs):
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


def permute(func, args, kwargs):
    block, n = args[0], args[0].ndim
    if func.overloadpacket is aten.permute:
        dims = [d % n for d in args[1]]
    else:
        a, b = args[1:] if len(args) == 3 else (0, min(1, n - 1))
        dims = list(range(n))
        dims[a % n], dims[b % n] = b % n, a % n
    return Block(block.values.permute(dims), tuple(block.where[d] for d in dims), [block.shape[d] for d in dims])


def unsqueeze(func, args, kwargs):
    block, d = args
    d %= block.ndim + 1
    shape = list(block.shape)
    shape.insert(d, 1)
    return Block(block.values.unsqueeze(d), (*block.where[:d], None, *block.where[d:]), shape)


def squeeze(func, args, kwargs):
    block, n = args[0], args[0].ndim
    dims = range(n) if len(args) == 1 else [args[1]] if isinstance(args[1], int) else args[1]
    gone = {d % n for d in dims if block.shape[d] == 1}
    kept = [d for d in range(n) if d not in gone]
    values = block.values.reshape([block.values.shape[d] for d in kept])
    return Block(values, tuple(block.where[d] for d in kept), [block.shape[d] for d in kept])


def expand(func, args, kwargs):
    block, size = args[0], list(args[1])
    extra = len(size) - block.ndim
    size = [block.shape[d - extra] if s == -1 else s for d, s in enumerate(size)]
    grown = [d < extra or block.shape[d - extra] != s for d, s in enumerate(size)]
    where = [None if g else block.where[d - extra] for d, g in enumerate(grown)]
    return wrap(block.values.expand([s if w is None else len(w) for w, s in zip(where, size)]), where, size)


def slice_(func, args, kwargs):
    block, d, start, end, step = (*args, *(0, None, None, 1)[len(args) - 1 :])
    d %= block.ndim
    picked = np.arange(block.shape[d])[start:end:step]
    shape = [len(picked) if i == d else s for i, s in enumerate(block.shape)]
    w = np.arange(block.shape[d]) if block.where[d] is None else block.where[d]
    both, here, there = np.intersect1d(w, picked, return_indices=True)
    if not len(both):
        return wrap(block.values.new_zeros([1] * block.ndim), [np.zeros(1, int)] * block.ndim, shape)
    values = at(block.values, tuple(here if i == d else None for i in range(block.ndim)))
    return wrap(values, [there if i == d else w for i, w in enumerate(block.where)], shape)


def select(func, args, kwargs):
    block, d, i = args
    d %= block.ndim
    sliced = slice_(func, (block, d, i % block.shape[d], i % block.shape[d] + 1), {})
    return sliced.squeeze(d)


def slice_backward(func, args, kwargs):
    block, sizes, d, start, end, step = args
    d %= len(sizes)
    picked = np.arange(sizes[d])[start:end:step]
    where = list(block.where)
    where[d] = picked if where[d] is None else picked[where[d]]
    return wrap(block.values, where, sizes)


def select_backward(func, args, kwargs):
    block, sizes, d, i = args
    d %= len(sizes)
    where = list(block.where)
    where.insert(d, np.array([i % sizes[d]]))
    return wrap(block.values.unsqueeze(d), where, sizes)


def pad(func, args, kwargs):
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


def roll(func, args, kwargs):
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


def cat(func, args, kwargs):
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


HANDLERS = {
    aten.view: view, aten._unsafe_view: view, aten._reshape_alias: view, aten.reshape: view, aten.permute: permute,
    aten.transpose: permute, aten.t: permute, aten.expand: expand, aten.squeeze: squeeze, aten.unsqueeze: unsqueeze,
    aten.roll: roll, aten.constant_pad_nd: pad, aten.slice: slice_, aten.select: select,
    aten.slice_backward: slice_backward, aten.select_backward: select_backward, aten.cat: cat, aten.stack: cat,
}  # fmt: skip
