"""Pictures that tools take: files, folders, globs and videos; imports no mm* package."""

import glob
import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional, Union

import numpy as np

from mmsterf.errors import InvalidInput

from .image_files import read_image
from .videos import VIDEOS, Video, is_video, video_frames

IMAGES = ('.avif', '.bmp', '.gif', '.jp2', '.jpe', '.jpeg', '.jpg', '.pbm', '.pgm', '.png', '.pnm', '.ppm', '.tif',
          '.tiff', '.webp')  # fmt: skip


def find(items: Sequence[Union[str, Path]], option: str = '--input') -> list[str]:
    """Return the files that are meant: files, those in folders, and those that globs match, in natural order.

    Of folders and globs, images and videos are taken by suffix; files that are named are taken as they are.

    Args:
        items: Files, folders (not what is in folders below) and globs (``**`` for folders below).
        option: Name of the option, for messages.

    Raises:
        InvalidInput: If one is not there, or has no images or videos.
    """
    found: list[str] = []
    for item in map(str, items):
        if os.path.isfile(item):
            found.append(item)
            continue
        if os.path.isdir(item):
            names, what = [os.path.join(item, name) for name in os.listdir(item)], 'in the folder itself'
        elif glob.has_magic(item):
            names, what = glob.glob(item, recursive=True), 'among what it matches'
        else:
            raise InvalidInput(
                f'{option} {item}: is not there; images, folders, globs and videos can be given' if '://' not in item
                else f'{option} {item}: addresses are not read, download it first'
            )  # fmt: skip
        taken = [name for name in names if name.lower().endswith((*IMAGES, *VIDEOS)) and os.path.isfile(name)]
        taken = [name for name in taken if not os.path.basename(name).startswith('.')]
        if not taken:
            kinds = ', '.join(kind[1:] for kind in (*IMAGES, *VIDEOS))
            below = f"; for folders below, give '{item.rstrip(os.sep)}/**'" * os.path.isdir(item)
            raise InvalidInput(f'{option} {item}: holds no images or videos {what} ({kinds}){below}')
        found += sorted(taken, key=_natural)
    return found


def _natural(name: str) -> list:
    return [(int(part), part) if part.isdecimal() else (-1, part) for part in re.split(r'(\d+)', name)]


class Pictures(Sequence):
    """Images and frames of videos by number, evenly spread over all there are where these are more than asked for.

    Element i is (name, list of images): one image, or `steps` frames of a video that follow each other. Iterating reads
    each video once from its beginning; only `len()`, an index or `num` make the frames be counted first.

    Args:
        items: See `find`.
        num: How many, at most; all by default.
        steps: Frames of a video in one element.
        option: Name of the option, for messages.

    Raises:
        InvalidInput: If one is not there or no image or video, or a video is shorter than `steps`.
    """

    def __init__(
        self, items: Sequence[Union[str, Path]], num: Optional[int] = None, steps: int = 1, option: str = '--input'
    ) -> None:
        self.paths, self.num, self.steps, self.option = find(items, option), num, steps, option
        self.converted: dict[str, dict[str, None]] = {}
        self._places: Optional[list[tuple[str, Optional[int]]]] = None
        self._total = 0
        self._reading: tuple = ('', None, 0, deque())

    @property
    def places(self) -> list[tuple[str, Optional[int]]]:
        """File and first frame (None for images) of every element."""
        if self._places is None:
            places: list = []
            for path in self.paths:
                if not is_video(path):
                    places.append((path, None))
                    continue
                with Video(path, self.option) as video:
                    frames = video.count()
                if frames < self.steps:
                    raise InvalidInput(f'{self.option} {path}: has {frames} frames, and {self.steps} are needed')
                places += [(path, first) for first in range(frames - self.steps + 1)]
            self._total, num = len(places), min(len(places), self.num or len(places))
            self._places = [places[i * len(places) // num] for i in range(num)]
        return self._places

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, i: int) -> tuple[str, list[np.ndarray]]:
        if not 0 <= i < len(self):
            raise IndexError(i)
        path, first = self.places[i]
        return (self._name(path, first), self._images(path, first))

    def __iter__(self) -> Iterator[tuple[str, list[np.ndarray]]]:
        if self.num is not None or self.steps > 1:
            yield from (self[i] for i in range(len(self)))
            return
        for path in self.paths:
            if is_video(path):
                yield from (
                    (self._name(path, i), [frame]) for i, frame in enumerate(video_frames(path, self.option))
                )  # fmt: skip
            else:
                yield self._name(path, None), self._images(path, None)

    def _name(self, path: str, frame: Optional[int]) -> str:
        return os.path.basename(path) + ('' if frame is None else f' frame {frame}')

    def _images(self, path: str, first: Optional[int]) -> list[np.ndarray]:
        if first is None:
            image = read_image(path, self.option)
            if image.converted:
                self.converted.setdefault(image.converted, {})[os.path.basename(path)] = None
            return [image.pixels]
        name, frames, behind, last = self._reading
        if name != path or first < behind - len(last):
            frames, behind, last = video_frames(path, self.option), 0, deque(maxlen=self.steps)
        while behind < first + self.steps:
            last.append(next(frames))
            behind += 1
        self._reading = path, frames, behind, last
        return list(last)[first - behind :][: self.steps]

    def said(self) -> list[str]:
        """What a user has to know of what was read so far, a sentence each."""
        said = [f'{len(self)} of {self._total} pictures, evenly spread, are taken'] * (len(self) < self._total)
        for kind, names in self.converted.items():
            shown = ', '.join(list(names)[:4]) + ', ...' * (len(names) > 4)
            said.append(f'converted to 8-bit BGR: {shown} ({kind})')
        return said
