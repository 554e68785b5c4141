"""Colours of all figures and pictures: told apart by colour-blind readers, on dark and on light ground.

How far apart two colours are is their distance in OKLab (Ottosson 2020; 0.02 is about what an eye just notices), the
least of that for normal sight, protanopia, deuteranopia and tritanopia (matrices of Machado, Oliveira and Fernandes,
2009, severity 1).
"""

import itertools
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

CLASSES = (
    (0, 195, 240), (120, 0, 150), (255, 210, 15), (120, 150, 30), (0, 0, 255),
    (180, 15, 15), (240, 30, 165), (225, 150, 150), (0, 255, 165), (105, 120, 255),
)  # fmt: skip
"""RGB colours of classes. Ten that are as far apart, and from dark grey, grey and white, as a search by exchanges found
(0.10; matplotlib's tab10: 0.007); in an order in which the first ones are farthest apart."""
GROUND = (90, 90, 90)
"""RGB colour of what is no object."""
GROUNDS = ((40, 40, 40), GROUND, (255, 255, 255))
"""What the colours of classes have to differ from."""

LINES = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000')
"""Lines and marks on white, after Okabe and Ito (2008); with `MARKERS`, so that no line is told by its colour alone."""
MARKERS = 'osD^vPX'

MAPS = 'inferno'
"""matplotlib's colour map of contributions: its lightness grows evenly, whoever looks."""
ZERO = '#4a4f5c'
"""What is exactly zero in a map: a grey that the colour map does not have."""
MARK = '#4dd0e1'
"""Boxes, squares and points over maps."""
INK, GREY, WARN, PALE = '#222222', '#666666', '#b3261e', '#b9c4cf'
"""Text, what matters less, warnings, and bars that others are compared with."""

_DARKEST = 0.42
"""Lightness of OKLab above which colours are taken for classes."""
_SIGHTS = np.array([
    [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
])  # fmt: skip
_CONES = np.array([
    [0.4122214708, 0.5363325363, 0.0514459929],
    [0.2119034982, 0.6806995451, 0.1073969566],
    [0.0883024619, 0.2817188376, 0.6299787005],
])  # fmt: skip
_LAB = np.array([
    [0.2104542553, 0.7936177850, -0.0040720468],
    [1.9779984951, -2.4285922050, 0.4505937099],
    [0.0259040371, 0.7827717662, -0.8086757660],
])  # fmt: skip


def as_seen(colours: Sequence) -> np.ndarray:
    """RGB colours (N, 3) of 0 to 255 as they look to normal, protanope, deuteranope and tritanope eyes: (4, N, 3)."""
    linear = _linear(colours)
    seen = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (255 * seen).round().astype(np.uint8)


def _linear(colours: Sequence) -> np.ndarray:
    share = np.asarray(colours, float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    return np.einsum('sij,nj->sni', _SIGHTS, linear).clip(0, 1)


def _lab(colours: Sequence) -> np.ndarray:
    return np.cbrt(_linear(colours) @ _CONES.T) @ _LAB.T


def _apart(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.linalg.norm(first[:, :, None] - second[:, None], axis=-1).min(0)


def distances(first: Sequence, second: Sequence) -> np.ndarray:
    """Distances (N, M) of RGB colours of 0 to 255, for the eyes that see the least difference."""
    return _apart(_lab(first), _lab(second))


@lru_cache
def class_colours(number: int) -> tuple:
    """`number` RGB colours of classes: `CLASSES`, then each the farthest from all before it and from the grounds.

    They repeat after some thousands, when none that differs is left.
    """
    colours = list(CLASSES[:number])
    if number > len(colours):
        steps = np.arange(0, 256, 17)
        grid = np.stack(np.meshgrid(steps, steps, steps, indexing='ij'), -1).reshape(-1, 3)
        grid = grid[_lab(grid)[0, :, 0] > _DARKEST]
        lab = _lab(grid).astype(np.float32)
        nearest = _apart(lab, _lab([*colours, *GROUNDS])).min(1)
        while len(colours) < number and nearest.max() > 0:
            best = int(nearest.argmax())
            colours.append(tuple(int(value) for value in grid[best]))
            nearest = np.minimum(nearest, _apart(lab, lab[:, best : best + 1])[:, 0])
    return tuple(itertools.islice(itertools.cycle(colours), number))
