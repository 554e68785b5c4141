"""Pictures one by one for the tools: named, with what cannot be read among them; imports no mm* package."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from mmsterf.engine.inputs import find, is_video, read_image, video_frames, video_info
from mmsterf.errors import InvalidInput, sentence

OPTION = 'INPUT'


@dataclass
class Item:
    """An image, or a frame of a video.

    Attributes:
        name (str): For results; differs from those of all other items. A frame's: its video's name, '/' and its number.
        path (str): The file.
        image (np.ndarray, optional): (H, W, 3) uint8, BGR; None if there is an error.
        converted (str): What it was, if not 8-bit colour.
        frame (int, optional): Number in a video, from 0.
        fps (float): Frames a second, of those that are taken.
        error (str): Why it could not be read.
    """

    name: str
    path: str
    image: Optional[np.ndarray] = None
    converted: str = ''
    frame: Optional[int] = None
    fps: float = 0.0
    error: str = ''


class Items:
    """Items of files, folders, globs and videos, each file once, read when it is their turn.

    Args:
        inputs: See `mmsterf.engine.inputs.find`.
        every: Of videos, the distance of the frames that are taken.

    Attributes:
        total (int, optional): How many there are; None if a video does not say.

    Raises:
        InvalidInput: If an input is not there, or has no images or videos.
    """

    def __init__(self, inputs: Sequence[str], every: int = 1) -> None:
        self.every = every
        self.files: dict = {}
        counts, seen = [], set()
        for path in find(inputs, OPTION):
            if os.path.realpath(path) in seen:
                continue
            seen.add(os.path.realpath(path))
            stem = os.path.splitext(os.path.basename(path))[0]
            name, number = stem, 2
            while name.lower() in self.files:
                name, number = f'{stem}_{number}', number + 1
            self.files[name.lower()] = name, path
            counts.append(self._count(path))
        self.total = None if None in counts else sum(counts)

    def _count(self, path: str) -> Optional[int]:
        if not is_video(path):
            return 1
        try:
            frames = video_info(path, OPTION).frames
        except InvalidInput:
            return 1  # of an error
        return -(-frames // self.every) if frames else None

    def __iter__(self) -> Iterator[Item]:
        for name, path in self.files.values():
            try:
                if is_video(path):
                    yield from self._frames(name, path)
                else:
                    image = read_image(path, OPTION)
                    yield Item(name, path, image.pixels, image.converted)
            except (InvalidInput, OSError) as error:
                yield Item(name, path, error=(sentence(error) or str(error)).removeprefix(f'{OPTION} '))

    def _frames(self, name: str, path: str) -> Iterator[Item]:
        info, read = video_info(path, OPTION), 0
        for number, image in enumerate(video_frames(path, OPTION)):
            read = number + 1
            if number % self.every == 0:
                yield Item(f'{name}/{number:06d}', path, image, frame=number, fps=info.fps / self.every)
        # Headers are a few frames off at times.
        if read < 0.9 * info.frames:
            yield Item(name, path, error=f'{path}: ends after {read} of {info.frames} frames')
