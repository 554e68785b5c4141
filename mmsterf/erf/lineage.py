"""Follow rows and columns of the image through the autograd graph, op by op.

Shapes alone cannot tell tokens from channels, decoder queries or hidden units, nor an attention matrix from a map. The
graph can: every op says what it does to axes.
"""

from typing import Optional

from torch import Tensor

from .atoms import NONE, Atom, Axes, hidden, plain
from .axis_rules import rule_of
from .regions import Window, is_sampling, window_of


class Lineage:
    """Axes of tensors that depend on an image, each op looked at once.

    Args:
        x: The input, a leaf whose two last axes are rows and columns.
    """

    def __init__(self, x: Tensor) -> None:
        names = [NONE] * (x.ndim - 2) + ['H', 'W']
        self.leaf, self.axes = x, tuple((Atom(n, s),) for n, s in zip(names, x.shape))
        self.known: dict = {}
        self.windows: dict = {}

    def of(self, y: Tensor) -> Axes:
        """Return the axes of a tensor."""
        if y.grad_fn is None:
            return self.axes if y is self.leaf else plain(y.shape)
        return self.at((y.grad_fn, y.output_nr))

    def at(self, key: tuple) -> Axes:
        """Return the axes of the output of an autograd node: (node, index)."""
        stack = [key]
        while stack:  # not recursive: graphs are thousands of ops deep
            top = stack[-1]
            if top in self.known:
                stack.pop()
                continue
            missing = [p for p in top[0].next_functions if p[0] is not None and p not in self.known]
            if missing:
                stack.extend(missing)
                continue
            stack.pop()
            parents = [self.known[p] if p[0] is not None else None for p in top[0].next_functions]
            self.known[top] = self._axes(*top, parents)
            self._look_through(top[0])
        return self.known[key]

    def window(self, y: Tensor) -> Optional[Window]:
        """Return the part of the image that the grid of a tensor covers, after `of`; None for all of it."""
        window = self.windows.get(y.grad_fn)
        whole = (0, 0, *self.leaf.shape[-2:])
        return None if window is None or all(abs(a - b) < 0.5 for a, b in zip(window, whole)) else window

    def _look_through(self, node) -> None:
        if node not in self.windows:
            parents = [self.windows.get(parent) for parent, _ in node.next_functions]
            window = next((w for w in parents if w is not None), None)
            self.windows[node] = window_of(node, window, self.leaf.shape[-2:]) if is_sampling(node.name()) else window

    def _axes(self, node, index: int, parents: list) -> Axes:
        if hasattr(node, 'variable'):
            return self.axes if node.variable is self.leaf else plain(node.variable.shape)
        try:
            shape = tuple(node._input_metadata[index].shape)
        except (AttributeError, IndexError, RuntimeError):
            shape = ()
        try:
            axes = rule_of(node.name())(node, index, shape, parents)
        except (AttributeError, IndexError, TypeError, ValueError, RuntimeError):
            axes = None  # an op that looks other than expected is one that is not understood
        return axes if axes is not None else hidden(shape, parents)
