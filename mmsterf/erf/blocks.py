"""Gradients that know where they are zero.

The gradient of one position is zero outside its receptive field, and so are most of the numbers that back-propagation
computes. A `Block` keeps, and `block_ops` computes, only those that may not be zero: for convolutions, norms, linear
layers, and attention in windows. What an operation does to the support follows from its definition, so nothing is
approximated; operations that are not known here, and custom ones, get the full gradient.
"""

import math
import re
from collections.abc import Iterable
from typing import Optional

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map

MOST = 0.6
"""A block that covers more than this part of its tensor is no gain."""
FEW = 4096
"""Elements from which on a tensor is worth a look for zeros."""
LAST = torch.channels_last
_BUILT_IN = re.compile(r'\w+Backward\d+$')
_STRIDES = ('AsStrided',)  # reads the strides of the gradient, which a block does not have
_TRUSTED = (
    'mmsterf.',
    'spikingjelly.',
)  # autograd functions of plain torch operations, which read no memory themselves

HANDLERS: dict = {}
"""Functions by operation; `block_ops` puts them in. One gets the operation and its arguments and returns the result, or
NotImplemented for arguments that it does not know; then the operation gets the full tensors."""

Where = tuple  # per axis the sorted positions (NumPy), or None for all


class Block(Tensor):
    """A tensor that is zero outside a block: `values` at the positions `where`.

    Args:
        values: The values.
        where: Per axis the sorted positions of `values` along it, or None for all.
        shape: Of the tensor.
        last: Channels come last in memory, as of images in that format; kernels read gradients as their input lies.
    """

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, values: Tensor, where: Where, shape: tuple[int, ...], last: bool = False):
        shape, how = tuple(shape), {'dtype': values.dtype, 'device': values.device}
        strides = torch.empty(shape, device='meta', memory_format=LAST).stride() if last else None
        return Tensor._make_wrapper_subclass(cls, shape, strides, **how)

    def __init__(self, values: Tensor, where: Where, shape: tuple[int, ...], last: bool = False) -> None:
        self.values, self.where, self.last = values, where, last

    def __repr__(self) -> str:
        return f'Block({tuple(self.values.shape)} of {tuple(self.shape)})'

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return run(func, args, kwargs or {})

    def dense(self) -> Tensor:
        """Return the full tensor."""
        layout = LAST if self.last else torch.contiguous_format
        if all(w is None for w in self.where):
            return self.values.contiguous(memory_format=layout)
        out = self.values.new_zeros(tuple(self.shape)).contiguous(memory_format=layout)
        place(out, self.where, self.values)
        return out

    def spread(self, where: Where) -> Tensor:
        """Return the values at `where`, which holds all of the block."""
        if same(self.where, where):
            return self.values
        lengths = [s if w is None else len(w) for w, s in zip(where, self.shape)]
        out = self.values.new_zeros(lengths)
        found = [
            inner if inner is None or outer is None else np.searchsorted(outer, inner)
            for inner, outer in zip(self.where, where)
        ]
        place(out, tuple(found), self.values)
        return out

    def solid(self, axes: Iterable[int], full: bool = False) -> 'Block':
        """Return the block without gaps along axes, or (`full`) with all positions of them."""
        where = list(self.where)
        for d in axes:
            w = where[d]
            if w is not None:
                where[d] = None if full else np.arange(w[0], w[-1] + 1)
        where = tidy(where, self.shape)
        return self if same(where, self.where) else Block(self.spread(where), where, self.shape)


def tidy(where: Iterable, shape: Iterable[int]) -> Where:
    """Write None for all positions."""
    return tuple(None if w is None or len(w) == s else w for w, s in zip(where, shape))


def same(a: Where, b: Where) -> bool:
    """Tell whether two blocks have the same positions."""
    return all(v is w or (v is not None and w is not None and np.array_equal(v, w)) for v, w in zip(a, b))


def gapless(w: np.ndarray) -> bool:
    """Tell whether positions are in a row."""
    return int(w[-1]) - int(w[0]) + 1 == len(w)


def wrap(values: Tensor, where: Iterable, shape: Iterable[int]) -> Tensor:
    """Make a block, or the full tensor where a block would be no gain."""
    shape = tuple(shape)
    block = Block(values, tidy(where, shape), shape)
    return block.dense() if values.numel() > MOST * math.prod(shape) else block


def dense(tensor):
    """Return the full tensor of a block; anything else as it is."""
    return tensor.dense() if isinstance(tensor, Block) else tensor


def at(tensor: Tensor, where: Where) -> Tensor:
    """Return the values of a full tensor at `where` of the tensor it broadcasts to."""
    where = where[len(where) - tensor.ndim :]
    for d, w in enumerate(where):
        if w is not None and tensor.shape[d] != 1 and gapless(w):
            tensor = tensor.narrow(d, int(w[0]), len(w))
    for d, w in enumerate(where):
        if w is not None and tensor.shape[d] != 1 and not gapless(w):
            tensor = tensor.index_select(d, _index(w, tensor))
    return tensor


def place(out: Tensor, where: Where, values: Tensor) -> None:
    """Add values at positions, in place."""
    gaps = []
    for d, w in enumerate(where):
        if w is not None and gapless(w):
            out = out.narrow(d, int(w[0]), len(w))
        elif w is not None:
            gaps.append(d)
    if not gaps:
        out.add_(values)
    elif len(gaps) == 1:
        out.index_add_(gaps[0], _index(where[gaps[0]], out), values)
    else:
        index = []
        for d, s in enumerate(out.shape):
            w = _index(where[d] if d in gaps else np.arange(s), out)
            index.append(w.view([-1 if i == d else 1 for i in range(out.ndim)]))
        out.index_put_(tuple(index), values, accumulate=True)


def _index(w: np.ndarray, like: Tensor) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(w)).to(like.device)


def shrink(tensor: Optional[Tensor]):
    """Find where a full tensor is not zero, and make a block of it if that is a small part."""
    plain = isinstance(tensor, Tensor) and not isinstance(tensor, Block)
    if not plain or tensor.numel() < FEW or not tensor.is_floating_point():
        return tensor
    found = tensor != 0
    where = []
    for d in range(tensor.ndim):
        rest = [i for i in range(tensor.ndim) if i != d]
        line = (found.any(dim=rest) if rest else found).cpu().numpy()
        where.append(np.flatnonzero(line))
        if not len(where[-1]):  # zeros all over
            where = [np.zeros(1, int)] * tensor.ndim
            break
        found = at(found, tuple(where[-1] if i == d else None for i in range(tensor.ndim)))
    size = math.prod(len(w) for w in where)
    if size > MOST * tensor.numel():
        return tensor
    where = tidy(where, tensor.shape)
    return Block(at(tensor, where).clone(), where, tensor.shape)


def run(func, args: tuple, kwargs: dict):
    """Run an operation on blocks."""
    handler = HANDLERS.get(func.overloadpacket)
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


def guard(edges: Iterable) -> list:
    """Give the full gradient to nodes of a graph that cannot take blocks; return the handles to remove."""
    handles, seen = [], set()
    stack = [edge.node for edge in edges]
    while stack:
        node = stack.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        stack.extend(n for n, _ in node.next_functions)
        if hasattr(node, 'variable') or _takes_blocks(node):
            continue
        handles.append(node.register_prehook(lambda grads: tuple(map(dense, grads))))
        handles.append(node.register_hook(lambda grads, _: tuple(map(shrink, grads))))
    return handles


def _takes_blocks(node) -> bool:
    if isinstance(node, torch.autograd.function.BackwardCFunction):
        return type(node)._forward_cls.__module__.startswith(_TRUSTED)
    name = node.name()
    return bool(_BUILT_IN.match(name)) and not name.startswith(_STRIDES)
