"""The theoretical receptive field of a layer, read from the autograd graph, where every op on the way is local.

The field of one cell is what its value can depend on: a rectangle of the image that follows from kernels, strides,
paddings and dilations alone. It is found by walking back from the cell and asking every op which rectangle of its input
it reads. One op that is global (attention, pooling over all, group norms) or not known here, and there is none.
"""

import math
from collections.abc import Iterable
from fractions import Fraction
from typing import NamedTuple, Optional

from .lineage import Lineage
from .local_ops import SAME, NotLocal, grid_of, steps_of

Box = tuple[int, int, int, int]
"""(top, left, bottom, right) in pixels, bottom and right not included."""


class Field(NamedTuple):
    """What a cell of a layer depends on.

    Attributes:
        box: In input pixels; reaches beyond the image where paddings take part.
        grid: (h, w) of the layer.
        stride: (rows, columns): input pixels from one cell to the next.
        unit: (rows, columns): crops of the image that start at multiples of these have their cells where the whole
            image has them, in every map on the way.
        ops: What was met on the way but for ops that stay in one cell, in a fixed order, to be compared with another
            graph.
    """

    box: Box
    grid: tuple[int, int]
    stride: tuple[Fraction, Fraction]
    unit: tuple[int, int]
    ops: tuple

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels, as if the image had no borders."""
        return self.box[2] - self.box[0], self.box[3] - self.box[1]

    def aligned(self, size: tuple[int, int], unit: tuple[int, int]) -> Box:
        """Return the part of an image of `size` (H, W) that holds the field, with edges at multiples of `unit`."""
        low = (max(start, 0) // u * u for start, u in zip(self.box[:2], unit))
        high = (min(-(-end // u) * u, n) for end, u, n in zip(self.box[2:], unit, size))
        return *low, *high


def field_of(lineage: Lineage, edges: Iterable, cell: tuple[int, int]) -> Optional[Field]:
    """Return the field of a cell of a layer, or None if an op on the way is not known to be local.

    Args:
        lineage: Of the input.
        edges: Gradient edges of the layer's outputs, one for each call.
        cell: (row, column) on the layer's grid.
    """
    keys = [(edge.node, edge.output_nr) for edge in edges]
    try:
        return _field(lineage, keys, cell)
    except (NotLocal, AttributeError, IndexError, TypeError, ValueError, RuntimeError):
        return None  # an op that looks other than expected is one that is not understood


def _field(lineage: Lineage, keys: list, cell: tuple[int, int]) -> Field:
    for key in keys:
        lineage.at(key)
    order = _ordered(keys)
    grids: dict = {}
    steps: dict = {}  # of each node
    strides: dict = {}
    for node in order:  # from the image on
        parents = [p for p in node.next_functions if p[0] is not None]
        if hasattr(node, 'variable'):
            if node.variable is not lineage.leaf:
                raise NotLocal
            grids[node, 0], strides[node] = grid_of(lineage.axes), (Fraction(1), Fraction(1))
            continue
        read = [lineage.known[p] if p[0] is not None else None for p in node.next_functions]
        found = {strides[p] for p, _ in parents}
        outputs = {i: lineage.known[node, i] for i in range(len(node._input_metadata)) if (node, i) in lineage.known}
        pairs = {i: steps_of(node, i, read, axes) for i, axes in outputs.items()}
        if len(found) != 1 or len(set(pairs.values())) != 1:
            raise NotLocal  # maps of two strides, joined
        steps[node] = next(iter(pairs.values()))
        (before,) = found
        strides[node] = tuple(s * Fraction(step.mul, step.div) for s, step in zip(before, steps[node]))
        grids.update({(node, i): grid_of(axes) for i, axes in outputs.items()})
    boxes = _boxes(order, steps, keys, cell)
    (rows, columns) = boxes[order[0]]
    unit = tuple(math.lcm(*(s[d].numerator for s in strides.values())) for d in (0, 1))
    return Field(
        (rows[0], columns[0], rows[1] + 1, columns[1] + 1), _one([grids[k].size for k in keys]),
        _one([strides[node] for node, _ in keys]), unit,
        tuple(steps[n] for n in order if steps.get(n, SAME) != SAME),
    )  # fmt: skip


def _boxes(order: list, steps: dict, keys: list, cell: tuple[int, int]) -> dict:
    """Return of each node which cells (rows, columns), first and last, of its output the cell depends on."""
    boxes = {node: tuple((c, c) for c in cell) for node, _ in keys}
    for node in reversed(order):
        if node not in steps or node not in boxes:
            continue
        wanted = tuple(step.back(*span) for step, span in zip(steps[node], boxes[node]))
        for parent, _ in node.next_functions:
            if parent is not None:
                spans = zip(boxes.get(parent, wanted), wanted)
                boxes[parent] = tuple((min(a[0], b[0]), max(a[1], b[1])) for a, b in spans)
    return boxes


def _one(values: list):
    if len(set(values)) != 1:
        raise NotLocal
    return values[0]


def _ordered(keys: list) -> list:
    """Return all nodes in front of outputs, each behind those that it reads; the image's comes first."""
    order, seen, stack = [], set(), [(node, False) for node, _ in keys]
    while stack:
        node, ready = stack.pop()
        if ready:
            order.append(node)
        elif node is not None and node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack.extend((parent, False) for parent, _ in node.next_functions)
    leaves = [n for n in order if hasattr(n, 'variable')]
    if len(leaves) != 1:
        raise NotLocal
    return leaves + [n for n in order if n is not leaves[0]]
