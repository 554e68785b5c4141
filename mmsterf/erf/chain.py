"""Back-propagate all layers stage by stage, where every layer hangs on the one in front of it alone.

One after the other, each backward pass needs the whole graph until the last has ended. Where all that a layer gets from
the input goes through the next layer asked for, the gradients of the deeper ones are brought there first, and what lies
between is freed. The sums are the same; the graph shrinks while the large maps of early stages are dealt with.
"""

from collections.abc import Iterator
from typing import Optional

import numpy as np
import torch
from torch import Tensor

from .backward import finished, seed_of
from .blocks import dense


def is_chain(captured: list[list[tuple]]) -> bool:
    """Tell whether each layer, deepest last, gets nothing of the input but through the one before it."""
    if any(len(made) != 1 for made in captured):
        return False
    edges = [made[0][0] for made in captured]
    return all(_hangs_on(b, a) for a, b in zip(edges, edges[1:]))


def _hangs_on(edge, other) -> bool:
    """Tell whether all paths from an edge to the input go through another one."""
    seen, stack, met = set(), [edge.node], False
    while stack:
        node = stack.pop()
        if node in seen:
            continue
        seen.add(node)
        if node is other.node or hasattr(node, 'variable'):
            return False
        for parent, index in node.next_functions:
            if parent is other.node and index == other.output_nr:
                met = True
            elif parent is not None:
                stack.append(parent)
    return met


def maps_in_chain(
    layers,
    captured: list,
    x: Tensor,
    cells,
    step,
    time_steps: int,
    input_time: str,
    num: int,
    signed: bool,
    blocks: bool,
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield index and maps (N, D, H, W) of the layers of a chain; `captured` is emptied.

    Args:
        layers: Of `Layer`, deepest last.
        captured: See `capture`.
        x, cells, step, time_steps, input_time, num, signed, blocks: See `maps_of`.
    """
    moving: list[tuple[int, Tensor]] = []
    edge: Optional[object] = None
    for k in reversed(range(len(layers))):
        here, like = captured[k][0]
        moving = list(_to(edge, here, moving))
        seed = seed_of(layers[k], like, x, cells[k], step, time_steps)
        moving.append((k, seed if blocks else dense(seed)))
        edge, captured[k] = here, None
    for i, grad in _to(edge, x, moving):
        yield i, finished(dense(grad.detach()), step, time_steps, input_time, num, signed)


def _to(edge, target, moving: list) -> Iterator[tuple[int, Tensor]]:
    """Bring gradients from an edge to another, or to the input; the graph between them is freed with the last."""
    while moving:
        i, grad = moving.pop(0)
        (grad,) = torch.autograd.grad([edge], [target], [grad], retain_graph=bool(moving))
        yield i, grad
