"""What aten's operations do to a `Block`: each computes the part of its result that may not be zero.

Every operation here is linear in the block.
"""

import math

import numpy as np
import torch
from torch import Tensor

from . import block_layers, block_views
from .blocks import HANDLERS, LAST, Block, at, dense, place, same, wrap

aten = torch.ops.aten


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


def _copy(func, args, kwargs):
    """As `_first`; autograd copies a gradient in front of a kernel that wants the memory of its input."""
    result = _first(func, args, kwargs)
    if result is NotImplemented or kwargs.get('memory_format') != LAST:
        return result
    if isinstance(result, Block):
        return Block(result.values, result.where, result.shape, last=True)
    return result.contiguous(memory_format=LAST)


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


def _sum(func, args, kwargs):
    block, n = args[0], args[0].ndim
    if len(args) < 2 or not args[1]:
        return NotImplemented
    keep = args[2] if len(args) > 2 else False
    gone = {d % n for d in args[1]}
    kept = [d for d in range(n) if keep or d not in gone]
    where = [None if d in gone else block.where[d] for d in kept]
    return wrap(func(block.values, *args[1:], **kwargs), where, [1 if d in gone else block.shape[d] for d in kept])


_POINTWISE = (
    'neg detach alias threshold_backward gelu_backward silu_backward sigmoid_backward tanh_backward '
    'hardtanh_backward hardswish_backward hardsigmoid_backward leaky_relu_backward elu_backward softplus_backward '
    'mish_backward div'
)
HANDLERS.update({
    **{getattr(aten, name): _first for name in _POINTWISE.split()},
    aten.clone: _copy, aten._to_copy: _copy, aten.mul: _pointwise, aten.where: _where,
    aten.masked_fill: _masked_fill, aten.sum: _sum,
    aten.add: _add, aten.add_: _add, aten.sub: _add,
    **block_views.HANDLERS, **block_layers.HANDLERS,
})  # fmt: skip
