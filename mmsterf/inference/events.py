"""Event recordings as items, window by window, for configs whose test pipeline loads events."""

import os
from collections.abc import Iterator
from typing import Optional

import numpy as np
from mmengine.config import Config

from mmsterf.engine.config import dataset_leaves
from mmsterf.errors import InvalidInput
from mmsterf.events import SUFFIXES, open_recording, to_steps

from .item import Item

BRIGHTER, DARKER = (40, 40, 220), (220, 120, 30)
"""Colours (BGR) of the two kinds of events in pictures, on white."""


def event_step(cfg: Config, split: str = 'test') -> Optional[dict]:
    """The step of a split's pipeline that loads events, None if there is none."""
    loader = cfg.get(f'{split}_dataloader') or (cfg.get('val_dataloader') if split == 'test' else None) or {}
    leaf = next(dataset_leaves(loader['dataset'])) if loader.get('dataset') else {}
    steps = [step for step in leaf.get('pipeline') or () if str(step.get('type')).endswith('LoadEvents')]
    return dict(steps[0]) if steps else None


def is_recording(path: str) -> bool:
    """Whether a file is an event recording, by its suffix."""
    return path.lower().endswith(SUFFIXES)


def windows_of(path: str, step: dict) -> int:
    """How many windows of the loading step's duration a recording has; one without a duration."""
    recording = open_recording(path)
    return -(-(recording.last + 1 - recording.first) // step['duration']) if step.get('duration') else 1


def windows(name: str, path: str, step: dict, sensor: Optional[tuple] = None, every: int = 1) -> Iterator[Item]:
    """Items of a recording: windows that follow each other from its beginning, or the whole of it.

    Args:
        name: Of the items.
        path: The recording.
        step: The loading step, see `event_step`.
        sensor: (height, width), where the file does not say them.
        every: Distance of the windows that are taken.

    Raises:
        InvalidInput: If it cannot be read, or no one says how large its sensor is.
    """
    recording = open_recording(path)
    size = recording.size or sensor
    if size is None:
        raise InvalidInput(f'{path}: does not say how large its sensor is: give --sensor HEIGHT WIDTH')
    size, duration = tuple(int(side) for side in size), step.get('duration')
    inputs = {'img_path': path, 'height': size[0], 'width': size[1]}
    for number in range(0, windows_of(path, step), every):
        end = recording.first + (number + 1) * duration if duration else None
        window = recording.window(end, duration)
        image = picture(window.events, size)
        item = Item(name, path, image, inputs={**inputs, 'event_end': end} if end else inputs)
        if duration:
            item.name, item.frame, item.fps = f'{name}/{number:06d}', number, 1e6 / duration / every
        yield item


def picture(events: np.ndarray, size: tuple) -> np.ndarray:
    """Events of a window as an image (H, W, 3) uint8, BGR."""
    inside = (events['x'] >= 0) & (events['x'] < size[1]) & (events['y'] >= 0) & (events['y'] < size[0])
    return coloured(to_steps(events[inside], 0, int(events['t'].max(initial=0)) + 1, size, 1)[0])


def coloured(maps: np.ndarray, signed: bool = False) -> np.ndarray:
    """Maps of events (T*C, H, W) as an image (H, W, 3) uint8, BGR: the more, the stronger the colour of the kind.

    Args:
        maps: As a pipeline gives them: by turns darker and brighter, or, if signed, brighter minus darker.
        signed: Which of both.
    """
    darker, brighter = (-maps.clip(max=0), maps.clip(min=0)) if signed else (maps[::2], maps[1::2])
    darker, brighter = darker.sum(0), brighter.sum(0)
    total = darker + brighter
    share = np.where(total > 0, brighter / np.maximum(total, 1e-6), 0.5)[..., None]
    strength = (1 - 0.5**total)[..., None]
    colour = share * np.array(BRIGHTER) + (1 - share) * np.array(DARKER)
    return np.round(255 * (1 - strength) + colour * strength).astype(np.uint8)


def files_in(folder: str) -> list:
    """Recordings of a folder itself, by name."""
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if is_recording(name) and name[0] != '.')
