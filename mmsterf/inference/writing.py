"""Pictures of predictions into a folder: one JPEG for each image, one MP4 for each video."""

import os
from pathlib import Path
from typing import Optional

import cv2
import numpy as np
from PIL import Image

from mmsterf.erf import replace_file
from mmsterf.errors import InvalidInput

QUALITY = 92


class Pictures:
    """Writes pictures as they come; a context manager, which ends the last video.

    Args:
        folder (Path): Where to write.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._video: Optional[Video] = None

    def add(self, item, picture: np.ndarray) -> None:
        """Write the picture (H, W, 3), RGB, of an item."""
        if item.frame is None:
            self._end()
            # Encoded here: OpenCV reports no full disk.
            there, content = cv2.imencode('.jpg', picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
            if not there:
                raise InvalidInput(f'the picture of {item.path} ({picture.shape[1]} x {picture.shape[0]}) is no JPEG')
            replace_file(self.folder / f'{item.name}.jpg', lambda part: part.write_bytes(content.tobytes()))
            return
        file = self.folder / f'{os.path.dirname(item.name)}.mp4'
        if self._video is None or self._video.file != file:
            self._end()
            self._video = Video(file, item.fps or 25.0, picture)
        self._video.add(picture)

    def __enter__(self) -> 'Pictures':
        return self

    def __exit__(self, *_) -> None:
        self._end()

    def _end(self) -> None:
        if self._video is not None:
            self._video.end()
            self._video = None


class Video:
    """An MP4 that has its name when it is whole.

    Args:
        file (Path): Where to write.
        fps (float): Pictures a second.
        picture (np.ndarray): The first one, (H, W, 3), for its size; it is not written.
    """

    def __init__(self, file: Path, fps: float, picture: np.ndarray) -> None:
        self.file = file
        self.part = file.with_name(f'.{os.getpid()}.{file.name}')
        file.parent.mkdir(parents=True, exist_ok=True)
        # Encoders want even sides.
        self.size = tuple(side + side % 2 for side in picture.shape[1::-1])
        self.writer = cv2.VideoWriter(str(self.part), cv2.VideoWriter_fourcc(*'mp4v'), fps, self.size)
        if not self.writer.isOpened():
            raise InvalidInput(f'{file}: OpenCV cannot write MP4 videos here')

    def add(self, picture: np.ndarray) -> None:
        """Write a picture (H, W, 3), RGB."""
        frame = np.full((self.size[1], self.size[0], 3), 255, np.uint8)
        height, width = (min(a, b) for a, b in zip(frame.shape, picture.shape[:2]))
        frame[:height, :width] = picture[:height, :width, ::-1]
        self.writer.write(frame)

    def end(self) -> None:
        """Give it its name."""
        self.writer.release()
        os.replace(self.part, self.file)


class Gif:
    """An animated GIF that has its name when it is whole; as `Video`, with the pictures in memory, a byte a pixel."""

    def __init__(self, file: Path, fps: float, picture: np.ndarray) -> None:
        self.file, self.fps, self.frames = file, fps, []

    def add(self, picture: np.ndarray) -> None:
        """Take a picture (H, W, 3), RGB."""
        self.frames.append(Image.fromarray(picture).quantize(64, dither=Image.Dither.NONE))

    def end(self) -> None:
        """Write the file."""
        options = dict(save_all=True, append_images=self.frames[1:], duration=round(1000 / self.fps), loop=0)
        replace_file(self.file, lambda part: self.frames[0].save(part, 'GIF', **options))
