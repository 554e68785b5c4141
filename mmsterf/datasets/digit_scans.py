"""Handwriting for the digit scenes: scikit-learn's bundled scans of digits, and how one is laid into a picture.

The data set has 1,797 scans of 8 x 8 pixels, ten classes, so that nothing is downloaded.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

from .scene_settings import SPLITS, SceneSettings

VAL_FRACTION = 0.2
# Scans are enlarged once, smoothly, with a margin of empty cells; each digit is then warped from that.
_CELL, _MARGIN = 8, 2


@functools.cache
def load_scans() -> tuple[np.ndarray, np.ndarray]:
    """All scans: float32 (1797, 8, 8) in 0..1 (each scan's darkest stroke is 1) and their classes, int64 (1797,).

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'the digit scenes are made from the scans that come with scikit-learn, which is not installed: '
            'pip install scikit-learn'
        ) from error
    data = load_digits()
    scans = data.images.astype(np.float32)
    scans, labels = scans / scans.max(axis=(1, 2), keepdims=True), data.target.astype(np.int64)
    scans.flags.writeable = labels.flags.writeable = False  # all callers share them
    return scans, labels


def split_scans(labels: np.ndarray, split: str) -> np.ndarray:
    """Indices of the scans of one split, int64, ascending.

    Of each class the last fifth is for validation. Neighbours in the file tend to be by one hand, so that this asks
    more than a random split: a support vector machine gets 95.8 % of it right, and 99.4 % of a random fifth. It depends
    on nothing else: no seed can mix the two.

    Args:
        labels: Classes of all scans, (N,).
        split: 'train' or 'val'.
    """
    if split not in SPLITS:
        raise ValueError(f'unknown split {split!r}: must be one of {", ".join(SPLITS)}')
    chosen = []
    for label in np.unique(labels):
        indices = np.flatnonzero(labels == label)
        first_val = len(indices) - round(len(indices) * VAL_FRACTION)
        chosen.append(indices[:first_val] if split == 'train' else indices[first_val:])
    return np.sort(np.concatenate(chosen))


def draw_strokes(rng: np.random.Generator, scan: np.ndarray, settings: SceneSettings) -> np.ndarray:
    """A scan as it is laid into a scene: enlarged, turned, slanted, its pen a little thicker or thinner.

    Args:
        rng: Source of the variation.
        scan: float32 (8, 8) in 0..1.
        settings: Gives ranges of scale and rotation.

    Returns:
        Opacity in 0..1, float32 (h, w). Pixels of at least a half are the digit's mask; the patch has one more pixel
        on each side.
    """
    scale = np.exp(rng.uniform(*np.log(settings.scale)))
    angle = np.deg2rad(rng.uniform(-settings.rotate, settings.rotate))
    stretch, slant = rng.uniform(0.85, 1.15), rng.uniform(-0.2, 0.2)
    threshold = rng.uniform(0.35, 0.55)

    padded = np.pad(scan, _MARGIN)
    smooth = cv2.resize(padded, None, fx=_CELL, fy=_CELL, interpolation=cv2.INTER_CUBIC)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[stretch, slant], [0.0, 1.0]]) * scale / (8 * _CELL)
    side = int(np.ceil(2 * scale))
    # The centre of the enlarged scan goes to the centre of the patch; pixel centres have whole coordinates.
    shift = (side - 1) / 2 - matrix @ np.full(2, (smooth.shape[0] - 1) / 2)
    value = cv2.warpAffine(smooth, np.column_stack([matrix, shift]), (side, side), flags=cv2.INTER_LINEAR)

    # From stroke to paper takes about one cell, scale / 8 pixels: this makes the edge about one pixel wide.
    alpha = np.clip(0.5 + (value - threshold) * scale / 8, 0, 1).astype(np.float32)
    rows, columns = (np.flatnonzero((alpha >= 0.5).any(axis)) for axis in (1, 0))
    return alpha[max(rows[0] - 1, 0) : rows[-1] + 2, max(columns[0] - 1, 0) : columns[-1] + 2]
