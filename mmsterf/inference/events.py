"""Event recordings as items, window by window, for configs whose test pipeline loads events."""

import os
from collections.abc import Iterator, Sequence
from typing import Optional

from mmsterf.errors import InvalidInput
from mmsterf.events import Recording, is_recording, open_recording
from mmsterf.events.drawing import picture

from .item import Item


def windows_of(path: str, step: dict) -> int:
    """How many windows of the loading step's duration a recording has; one without a duration."""
    recording = open_recording(path)
    return -(-(recording.last + 1 - recording.first) // step['duration']) if step.get('duration') else 1


def windows(name: str, path: str, step: dict, sensor: Optional[tuple] = None, every: int = 1) -> Iterator[Item]:
    """Items of a recording: windows that follow each other from its beginning, or the whole of it.

    Args:
        name: Of the items.
        path: The recording.
        step: The loading step, see `mmsterf.engine.dataset_parts.event_step`.
        sensor: (height, width), where the file does not say them.
        every: Distance of the windows that are taken.

    Raises:
        InvalidInput: If it cannot be read, or no one says how large its sensor is.
    """
    recording = open_recording(path)
    size, duration = sensor_size(recording, sensor), step.get('duration')
    inputs = {'img_path': path, 'height': size[0], 'width': size[1]}
    for number in range(0, windows_of(path, step), every):
        end = recording.first + (number + 1) * duration if duration else None
        window = recording.window(end, duration)
        image = picture(window.events, size)
        item = Item(name, path, image, inputs={**inputs, 'event_end': end} if end else inputs)
        if duration:
            item.name, item.frame, item.fps = f'{name}/{number:06d}', number, 1e6 / duration / every
        yield item


def sensor_size(recording: Recording, sensor: Optional[tuple] = None) -> tuple:
    """Height and width of a recording's sensor: what it says, or `sensor`.

    Raises:
        InvalidInput: If no one says it.
    """
    size = recording.size or sensor
    if size is None:
        raise InvalidInput(f'{recording.path}: does not say how large its sensor is: give --sensor HEIGHT WIDTH')
    return tuple(int(side) for side in size)


def frames(path: str, ends: Sequence[int], window: int, sensor: Optional[tuple] = None) -> Iterator[Item]:
    """Items of moments of a recording, pictures of the events just before each.

    Args:
        path: The recording.
        ends: Ends of the windows, microseconds.
        window: Length of the windows that are drawn; what a model is given has the length that its config says.
        sensor: As in `windows`.
    """
    recording = open_recording(path)
    size = sensor_size(recording, sensor)
    for number, end in enumerate(ends):
        image = picture(recording.window(end, window).events, size)
        inputs = {'img_path': path, 'height': size[0], 'width': size[1], 'event_end': end}
        yield Item(os.path.basename(path), path, image, frame=number, inputs=inputs)


def files_in(folder: str) -> list:
    """Recordings of a folder itself, by name."""
    return sorted(os.path.join(folder, name) for name in os.listdir(folder) if is_recording(name) and name[0] != '.')
