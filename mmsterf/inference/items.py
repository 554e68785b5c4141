"""Pictures one by one for the tools: named, with what cannot be read among them."""

import glob
import os
from collections.abc import Iterator, Sequence
from typing import Optional

from mmsterf.engine.image_files import read_image
from mmsterf.engine.inputs import find
from mmsterf.engine.videos import is_video, video_frames, video_info
from mmsterf.errors import InvalidInput, sentence
from mmsterf.events import SUFFIXES, is_recording

from .events import files_in, windows, windows_of
from .item import Item

OPTION = 'INPUT'


class Items:
    """Items of files, folders, globs and videos, each file once, read when it is their turn.

    Args:
        inputs: See `mmsterf.engine.inputs.find`.
        every: Of videos and event recordings, the distance of the frames or windows that are taken.
        event_step: How events are loaded, see `mmsterf.engine.dataset_parts.event_step`; None if they are not.
        sensor: Height and width of the sensor, for recordings that do not say them.

    Attributes:
        total (int, optional): How many there are; None if a video does not say.

    Raises:
        InvalidInput: If an input is not there, or has no images or videos.
    """

    def __init__(
        self,
        inputs: Sequence[str],
        every: int = 1,
        event_step: Optional[dict] = None,
        sensor: Optional[tuple] = None,
    ) -> None:
        self.every, self.event_step, self.sensor = every, event_step, sensor
        self.files: dict = {}
        counts, seen = [], set()
        for path in self._find(inputs):
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

    def _find(self, inputs: Sequence[str]) -> list:
        found = []
        for item in map(str, inputs):
            names = files_in(item) if self.event_step and os.path.isdir(item) else glob.glob(item, recursive=True)
            recordings = [name for name in names if is_recording(name) and os.path.isfile(name)]
            if recordings and self.event_step is None:
                raise InvalidInput(
                    f'{OPTION} {recordings[0]}: is an event recording, and the test pipeline of the config has no '
                    'mmsterf.LoadEvents'
                )
            if not recordings and self.event_step:
                raise InvalidInput(
                    f'{OPTION} {item}: holds no event recordings ({", ".join(SUFFIXES)}), which the test pipeline of '
                    'the config reads'
                )
            found += recordings or find([item], OPTION)
        return found

    def _count(self, path: str) -> Optional[int]:
        if not is_video(path) and not self.event_step:
            return 1
        try:
            frames = windows_of(path, self.event_step) if self.event_step else video_info(path, OPTION).frames
        except (InvalidInput, OSError):
            return 1  # of an error
        return -(-frames // self.every) if frames else None

    def __iter__(self) -> Iterator[Item]:
        for name, path in self.files.values():
            try:
                if self.event_step:
                    yield from windows(name, path, self.event_step, self.sensor, self.every)
                elif is_video(path):
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
