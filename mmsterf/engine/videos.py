"""Video files, frame by frame, by OpenCV or PyAV; imports no mm* package."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Union

import numpy as np

from mmsterf.errors import InvalidInput

VIDEOS = ('.avi', '.flv', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.ts', '.webm', '.wmv')


class VideoInfo(NamedTuple):
    """What a video's header says: frames per second, pixels, number of frames; 0 where it says nothing."""

    fps: float
    width: int
    height: int
    frames: int


def is_video(path: Union[str, Path]) -> bool:
    """Whether a file is a video, by its suffix."""
    return str(path).lower().endswith(VIDEOS)


class Video:
    """A video that is read by OpenCV, or by PyAV where OpenCV is not installed; a context manager."""

    def __init__(self, path: Union[str, Path], option: str = '--input') -> None:
        self.where, self.capture, self.container = f'{option} {path}', None, None
        try:
            import cv2
        except ImportError:
            self._open_by_av(path)
            return
        os.environ.setdefault('OPENCV_FFMPEG_LOGLEVEL', '-8')  # it prints codes of its own for a file that is no video
        self.capture = cv2.VideoCapture(str(path))
        if not self.capture.isOpened():
            raise InvalidInput(f'{self.where}: is no image or video that can be read')
        values = [self.capture.get(getattr(cv2, f'CAP_PROP_{name}')) for name in
                  ('FPS', 'FRAME_WIDTH', 'FRAME_HEIGHT', 'FRAME_COUNT')]  # fmt: skip
        self.info = VideoInfo(values[0], *(max(int(v), 0) for v in values[1:]))

    def _open_by_av(self, path) -> None:
        try:
            import av
        except ImportError:
            raise InvalidInput(f'{self.where}: videos need the package opencv-python or av') from None
        try:
            self.container = av.open(str(path))
            stream = self.container.streams.video[0]
        except (av.FFmpegError, IndexError):
            raise InvalidInput(f'{self.where}: is no image or video that can be read') from None
        self.info = VideoInfo(float(stream.average_rate or 0), stream.width, stream.height, stream.frames)

    def __enter__(self) -> 'Video':
        return self

    def __exit__(self, *_) -> None:
        (self.capture.release if self.capture else self.container.close)()

    def __iter__(self) -> Iterator[np.ndarray]:
        if self.capture is None:
            yield from (frame.to_ndarray(format='bgr24') for frame in self.container.decode(video=0))
            return
        while True:
            read, frame = self.capture.read()
            if not read:
                return
            yield frame

    def count(self) -> int:
        """Number of frames that there are; headers may lie."""
        if self.capture is None:
            return sum(1 for _ in self.container.decode(video=0))
        frames = 0
        while self.capture.grab():
            frames += 1
        return frames


def video_info(path: Union[str, Path], option: str = '--input') -> VideoInfo:
    """Return what the header of a video says.

    Raises:
        InvalidInput: If it cannot be read.
    """
    with Video(path, option) as video:
        return video.info


def video_frames(path: Union[str, Path], option: str = '--input') -> Iterator[np.ndarray]:
    """Yield the frames of a video, (H, W, 3) uint8, blue first.

    Raises:
        InvalidInput: If it cannot be read, or has no frames.
    """
    with Video(path, option) as video:
        read = False
        for frame in video:
            read = True
            yield frame
        if not read:
            raise InvalidInput(f'{video.where}: has no frames that can be read')
