"""Scenes of handwritten digits on textured backgrounds, with exact instance masks.

A scene depends only on its settings and on (seed, split, index), never on the scenes made before it. Images are BGR, as
OpenCV has them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .digit_scans import draw_strokes, load_scans, split_scans
from .scene_grounds import draw_background, expose, pick_colour
from .scene_settings import MARKS, SPLITS, SceneSettings, reach

# An instance keeps at least this part of its strokes, and this many pixels, in view; else it is not put there.
MIN_VISIBLE_FRACTION = 0.65
MIN_VISIBLE_PIXELS = 30
PLACEMENT_TRIES = 20
CLEAR = (230, 25)
"""Levels of strokes and ground in the clearest training pictures of the task 'cls'."""


@dataclass(frozen=True)
class Scene:
    """One scene.

    Attributes:
        image: uint8 (H, W, 3), BGR.
        instances: uint8 (H, W); 0 is background, k the visible strokes of the k-th digit (later ones are on top).
        labels: The class of digit 1, 2, ...: an index into the settings' `classes`.
        scans: Which of the 1,797 scans each digit was made from.
        mark: Row and column of the mark of the far task.
    """

    image: np.ndarray
    instances: np.ndarray
    labels: tuple[int, ...]
    scans: tuple[int, ...]
    mark: tuple[int, int] | None = None


def _place(rng: np.random.Generator, alpha: np.ndarray, instances: np.ndarray, areas: list[int]):
    """Find room for one more digit such that enough is seen of it and of every digit below it.

    Returns:
        (window, part): index of the pixels of the scene it covers, and its opacity there; None if there is no room.
    """
    (h, w), (height, width) = alpha.shape, instances.shape
    areas = np.array([*areas, np.count_nonzero(alpha >= 0.5)])
    needed = np.maximum(MIN_VISIBLE_FRACTION * areas, MIN_VISIBLE_PIXELS)
    for _ in range(PLACEMENT_TRIES):
        top, left = (int(rng.uniform(-0.1 * a, b - 0.9 * a)) for a, b in ((h, height), (w, width)))
        window = np.s_[max(top, 0) : top + h, max(left, 0) : left + w]
        part = alpha[max(-top, 0) : height - top, max(-left, 0) : width - left]
        after = instances.copy()
        after[window][part >= 0.5] = len(areas)
        if (np.bincount(after.ravel(), minlength=len(areas) + 1)[1:] >= needed).all():
            return window, part
    return None


def _far_scene(rng: np.random.Generator, image: np.ndarray, pool: np.ndarray, settings: SceneSettings) -> Scene:
    """A scene of the far task; its label, digit, place and direction are drawn one by one, of each other unaware."""
    label, axis, sign = (int(rng.integers(count)) for count in (len(MARKS), 2, 2))
    axis = {'rows': 1, 'columns': 0}.get(settings.direction, axis)
    offset = np.zeros(2, int)
    offset[axis] = (2 * sign - 1) * settings.distance
    margin = reach(settings.scale)
    # Both the digit and the mark lie inside.
    low = np.maximum(margin, settings.mark_radius - offset)
    high = np.minimum(np.subtract(settings.size, margin), settings.size - offset - settings.mark_radius)
    centre = rng.integers(low, high)
    mark = centre + offset

    scan = int(rng.choice(pool))
    alpha = draw_strokes(rng, load_scans()[0][scan], settings)
    top, left = centre - np.array(alpha.shape) // 2
    window = np.s_[top : top + alpha.shape[0], left : left + alpha.shape[1]]
    instances = np.zeros(settings.size, np.uint8)
    instances[window] = alpha >= 0.5
    # All else is grey, so that a glance at all of the picture is enough.
    image = np.repeat(image.mean(-1, keepdims=True), 3, axis=-1)
    level, contrast = image[window][alpha >= 0.5].mean(), rng.uniform(50, 110)
    lighter = level < contrast or (level + contrast <= 255 and rng.random() < 0.5)
    image[window] += alpha[..., None] * (level + (contrast if lighter else -contrast) - image[window])
    rows, columns = np.mgrid[: settings.size[0], : settings.size[1]]
    disc = np.hypot(rows - mark[0], columns - mark[1]) <= settings.mark_radius + 0.5
    image[disc] = tuple(MARKS.values())[label]
    return Scene(expose(rng, image), instances, (label,), (scan,), (int(mark[0]), int(mark[1])))


def _clearer(rng: np.random.Generator, image: np.ndarray, instances: np.ndarray) -> np.ndarray:
    """Somewhere between light strokes on a dark ground and the image as it is.

    Without clear pictures among them, networks stay at chance on single digits for hundreds of iterations.
    """
    clear = np.where(instances > 0, *CLEAR).astype(np.float32)[..., None]
    return image + rng.uniform() * (clear - image)


def make_scene(split: str, seed: int, index: int, settings: SceneSettings | None = None) -> Scene:
    """The scene with this number: the same arguments give the same scene, whatever was made before.

    Args:
        split: 'train' or 'val'; the two share no scan.
        seed: Of the whole data set, at least 0.
        index: Number of the scene within its split, from 0.
        settings: What it looks like; default :class:`SceneSettings`.
    """
    settings = settings or SceneSettings()
    scans, scan_labels = load_scans()
    pool = split_scans(scan_labels, split)
    rng = np.random.default_rng([seed, SPLITS.index(split), index])

    image = draw_background(rng, settings.size)
    if settings.plain:
        image[:] = image.mean((0, 1))
    if settings.task == 'far':
        return _far_scene(rng, image, pool, settings)
    instances = np.zeros(settings.size, np.uint8)
    areas, chosen = [], []
    wanted = rng.integers(settings.digits[0], settings.digits[1] + 1)
    while not chosen:
        for _ in range(wanted):
            scan = int(rng.choice(pool))
            alpha = draw_strokes(rng, scans[scan], settings)
            place = _place(rng, alpha, instances, areas)
            if place is None:
                continue
            window, part = place
            inside = part >= 0.5
            colour = pick_colour(rng, image[window][inside])
            image[window] += part[..., None] * (colour - image[window])
            areas.append(np.count_nonzero(alpha >= 0.5))
            chosen.append(scan)
            instances[window][inside] = len(chosen)

    if settings.task == 'cls' and split == 'train':
        image = _clearer(rng, image, instances)
    image = expose(rng, image)
    labels = (0 if settings.one_class else int(scan_labels[scan]) for scan in chosen)
    return Scene(image, instances, tuple(labels), tuple(chosen))
