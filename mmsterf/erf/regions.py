"""Sampling ops: regions of interest keep a grid of their own, points do not.

A window is the part of the image that a grid covers: (top, left, bottom, right) in input pixels.
"""

from typing import Optional

import torch
from torch import Tensor

from .atoms import NONE, Atom, Axes

Window = tuple[float, float, float, float]

_STRAIGHT = 1e-3
_FOLLOWS = 0.9


def is_sampling(name: str) -> bool:
    """Tell whether an autograd node samples a map at given places."""
    return name.startswith('GridSampler2D') or 'roi' in name.lower()


def sampled(node, index, shape, parents) -> Optional[Axes]:
    """Rule of sampling ops (see `axis_rules`): axes of a map where the places are a grid, of points elsewhere."""
    source = parents[0]
    if len(shape) != 4 or source is None:
        return None
    rows, columns = (Atom('H', shape[2]),), (Atom('W', shape[3]),)
    if node.name().startswith('GridSampler2D'):
        grid = node._saved_grid[0]
        listed = _listed(grid)
        if listed is not None:
            rows, columns = (Atom('H', listed.shape[0]), Atom('W', listed.shape[1])), (Atom(NONE, 1),)
            if shape[2] == 1:
                rows, columns = columns, rows
        elif not _is_map(grid):
            return tuple((Atom(NONE, int(s)),) for s in shape)
    names = [[a.source for a in atoms if a.size > 1 or a.top] for atoms in source[-2:]]
    if names != [['H'], ['W']]:
        return None
    return (Atom(NONE, shape[0]),), (Atom(NONE, shape[1]),), rows, columns


def window_of(node, parent: Optional[Window], size: tuple[int, int]) -> Optional[Window]:
    """Return what part of an image of `size` (H, W) the output of a sampling op covers; None if that is not known.

    Args:
        node: The op.
        parent: Window of what it samples from; None for the whole image.
        size: (H, W).
    """
    if node.name().startswith('GridSampler2D'):
        grid = node._saved_grid[0]
        listed = _listed(grid)
        edges = _edges(grid if listed is None else listed) if len(node._saved_grid) == 1 else None
        if edges is None:
            return parent
        top, left, bottom, right = parent or (0.0, 0.0, *map(float, size))
        y0, x0, y1, x1 = ((e + 1) / 2 for e in edges)
        return (
            top + y0 * (bottom - top), left + x0 * (right - left),
            top + y1 * (bottom - top), left + x1 * (right - left),
        )  # fmt: skip
    try:
        boxes = [t for t in node.saved_tensors if t is not None and t.ndim == 2 and t.shape[1] == 5]
    except (AttributeError, RuntimeError):
        return parent
    if len(boxes) != 1 or len(boxes[0]) != 1:
        return parent
    _, left, top, right, bottom = boxes[0][0].tolist()
    return top, left, bottom, right


def _is_map(grid: Tensor) -> bool:
    """Tell whether places (h, w, 2) run along with rows and columns, as those of a warp do."""
    return _edges(grid) is not None or (
        min(grid.shape[:2]) > 1 and _follows(grid[..., 1].T) > _FOLLOWS and _follows(grid[..., 0]) > _FOLLOWS
    )


def _listed(grid: Tensor) -> Optional[Tensor]:
    """Return places (h * w, 1, 2) or (1, h * w, 2) that are an even grid, row by row, as (h, w, 2); else None."""
    if 1 not in grid.shape[:2] or grid.numel() < 8:
        return None
    grid = grid.reshape(-1, 2)
    changes = (grid[1:, 1] - grid[:-1, 1]).abs() > 1e-6
    width = int(changes.int().argmax()) + 1
    if width < 2 or len(grid) % width:
        return None
    grid = grid.reshape(-1, width, 2)
    return None if _edges(grid) is None else grid


def _follows(places: Tensor) -> float:
    """Correlation of places (m, n) with their index along n."""
    index = torch.arange(places.shape[1], device=places.device, dtype=torch.float64).expand(places.shape)
    pair = torch.stack([places.detach().double().flatten(), index.flatten()])
    return float(torch.corrcoef(pair)[0, 1].nan_to_num())


def _edges(grid: Tensor) -> Optional[Window]:
    """Edges of the cells of places (h, w, 2) that are an even grid, in -1 to 1; None for others."""
    if min(grid.shape[:2]) < 2:
        return None
    x, y = grid.detach().double().unbind(-1)
    edges = []
    for places in (y.T, x):
        step = (places[0, -1] - places[0, 0]) / (places.shape[1] - 1)
        even = places[0, 0] + step * torch.arange(places.shape[1], device=places.device)
        if step <= 0 or (places - even).abs().max() > _STRAIGHT * step:
            return None
        edges.append((float(places[0, 0] - step / 2), float(places[0, -1] + step / 2)))
    return edges[0][0], edges[1][0], edges[0][1], edges[1][1]
