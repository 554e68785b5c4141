"""Real recordings, four to a scene: class folders of small ones, as N-MNIST has them, become scenes with boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmsterf.errors import InvalidInput
from mmsterf.events import EVENT, SUFFIXES, open_recording

from .digit_scans import split_scans
from .event_scenes import BOX, FIRST_LABEL, EventScene
from .scene_settings import SPLITS

LENGTH = 300_000
"""Microseconds of each recording that are taken; they end with the label."""
LEAST = 2
"""A box holds the pixels with at least so many events."""


def find_recordings(root: str) -> tuple[tuple, list[str], np.ndarray]:
    """Names of the class folders of a folder, their recordings, and the class of each.

    Raises:
        InvalidInput: If there are none, or a class has fewer than five.
    """
    classes = tuple(sorted(path.name for path in Path(root).iterdir() if path.is_dir())) if Path(root).is_dir() else ()
    found = [
        (str(file), label)
        for label, name in enumerate(classes)
        for file in sorted(Path(root, name).iterdir())
        if file.suffix.lower() in SUFFIXES
    ]
    labels = np.array([label for _, label in found], int)
    few = [name for label, name in enumerate(classes) if (labels == label).sum() < 5]
    if not classes or few:
        what = f'class {few[0]} has fewer than 5' if few else 'there are none'
        raise InvalidInput(
            f'{root}: folders of recordings ({", ".join(SUFFIXES)}), one for each class, are looked for; {what}'
        )
    return classes, [path for path, _ in found], labels


def place_recordings(
    paths: list[str], labels: np.ndarray, split: str, seed: int, index: int, size: tuple[int, int]
) -> EventScene:
    """A scene of four recordings, each somewhere in its quarter of the sensor, with one labelled moment.

    Args:
        paths: Recordings; the last fifth of each class is for validation.
        labels: Their classes.
        split: 'train' or 'val'.
        seed: Of the whole data set.
        index: Number of the scene.
        size: Height and width of the sensor that they are placed on.

    Raises:
        InvalidInput: If a recording is larger than a quarter of it.
    """
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    chosen = rng.choice(split_scans(labels, split), 4)
    height, width = size[0] // 2, size[1] // 2
    parts, boxes = [], []
    for quarter, number in enumerate(chosen):
        recording = open_recording(paths[number])
        events = recording.window(recording.first + LENGTH, LENGTH).events.copy()
        rows, columns = int(events['y'].max()) + 1, int(events['x'].max()) + 1
        if rows > height or columns > width:
            raise InvalidInput(
                f'{paths[number]}: is of {rows} rows and {columns} columns, which a quarter of {size[0]} x {size[1]} '
                'does not hold'
            )
        top = quarter // 2 * height + rng.integers(0, height - rows + 1)
        left = quarter % 2 * width + rng.integers(0, width - columns + 1)
        events['y'] += top
        events['x'] += left
        events['t'] += FIRST_LABEL - LENGTH - recording.first
        parts.append(events)
        seen = np.zeros(size, int)
        np.add.at(seen, (events['y'], events['x']), 1)
        high, wide = (np.flatnonzero((seen >= LEAST).any(axis)) for axis in (1, 0))
        if len(high):
            box = wide[0], high[0], wide[-1] + 1 - wide[0], high[-1] + 1 - high[0]
            boxes.append((FIRST_LABEL, *box, labels[number], 1.0, quarter))
    events = np.concatenate(parts)
    events = events[np.argsort(events['t'], kind='stable')]
    return EventScene(events.astype(EVENT), {'digits': np.array(boxes, BOX)}, tuple(int(i) for i in chosen))
