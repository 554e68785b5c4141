"""Pictures that tools take: files, folders, globs and videos, read to 8-bit BGR; imports no mm* package."""

import glob
import os
import re
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Optional, Union

import numpy as np

from mmsterf.errors import InvalidInput

IMAGES = ('.avif', '.bmp', '.gif', '.jp2', '.jpe', '.jpeg', '.jpg', '.pbm', '.pgm', '.png', '.pnm', '.ppm', '.tif',
          '.tiff', '.webp')  # fmt: skip
VIDEOS = ('.avi', '.flv', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.ts', '.webm', '.wmv')

_KINDS = {'1': '1-bit', 'L': 'grey', 'LA': 'grey with transparency', 'P': 'palette', 'PA': 'palette', 'CMYK': 'CMYK',
          'RGBA': 'with transparency', 'RGBa': 'with transparency', 'YCbCr': '', 'RGB': '', 'I': 'grey', 'HSV': 'HSV',
          'LAB': 'LAB'}  # fmt: skip


class Image(NamedTuple):
    """An image as models' pipelines take it.

    Attributes:
        pixels (np.ndarray): (H, W, 3) uint8, blue first, upright.
        converted (str): What it was, if not 8-bit colour: 'grey', '16-bit with transparency', ...
    """

    pixels: np.ndarray
    converted: str


class VideoInfo(NamedTuple):
    """What a video's header says: frames per second, pixels, number of frames; 0 where it says nothing."""

    fps: float
    width: int
    height: int
    frames: int


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


def is_video(path: Union[str, Path]) -> bool:
    """Whether a file is a video, by its suffix."""
    return str(path).lower().endswith(VIDEOS)


def read_image(path: Union[str, Path], option: str = '--input') -> Image:
    """Read an image to 8-bit BGR, upright, as mmcv does (OpenCV; Pillow without it, and for what OpenCV cannot read).

    Of 16 bits, the upper 8 are taken; transparency is left out; of several frames or pages, the first is taken.

    Raises:
        InvalidInput: If it is no image, truncated, or has floating-point or 32-bit pixels.
    """
    import PIL.Image

    where = f'{option} {path}'
    try:
        with open(path, 'rb') as stream:
            content = stream.read()
        if not content:
            raise InvalidInput(f'{where}: is an empty file')
        with PIL.Image.open(path) as image:
            mode, pages, deep = image.mode, getattr(image, 'n_frames', 1), _is_deep(image)
            if mode == 'F' or (mode == 'I' and not deep):
                kind = 'floating-point' if mode == 'F' else '32-bit'
                raise InvalidInput(f'{where}: has {kind} pixels, of which no one knows the range; make it 8 or 16 bits')
            image.load()  # OpenCV fills what is missing with grey
            pixels = _by_opencv(content, mode)
            pixels = _by_pillow(image) if pixels is None else pixels
    except OSError as error:
        if error.errno is not None:
            raise
        bad = 'is no image or video that can be read' if 'cannot identify' in str(error) else f'is damaged ({error})'
        raise InvalidInput(f'{where}: {bad}') from error
    except (SyntaxError, ValueError, PIL.Image.DecompressionBombError) as error:
        if isinstance(error, InvalidInput):
            raise
        raise InvalidInput(f'{where}: cannot be read ({error})') from error
    kind = 'grey' if mode.startswith('I;16') else _KINDS.get(mode, mode)
    parts = ['16-bit' * deep, kind or 'colour' * deep, f'of {pages} frames or pages, the first' * (pages > 1)]
    return Image(pixels, ' '.join(filter(None, parts)))


def _is_deep(image) -> bool:
    """Whether an image that Pillow has opened, and not read, has 16 bits."""
    kinds = [tile[-1] for tile in image.tile]
    wide = image.format == 'PPM' and any(isinstance(k, tuple) and isinstance(k[-1], int) and k[-1] > 255 for k in kinds)
    return wide or image.mode.startswith('I;16') or ';16' in str(kinds)


def _by_opencv(content: bytes, mode: str) -> Optional[np.ndarray]:
    try:
        import cv2
    except ImportError:
        return None
    if mode not in ('1', 'L', 'LA', 'P', 'RGB', 'RGBA', 'YCbCr', 'CMYK', 'I') and not mode.startswith('I;16'):
        return None  # read wrongly
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        return None


def _by_pillow(image) -> np.ndarray:
    from PIL import ImageOps

    image = ImageOps.exif_transpose(image)
    if image.mode.startswith('I'):
        grey = (np.asarray(image).astype(np.int64) >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=2)
    if image.mode in ('P', 'PA', 'LA', 'RGBa', 'La'):
        image = image.convert('RGBA')
    if image.mode == 'RGBA':
        image = image.copy()
        image.putalpha(255)
    return np.ascontiguousarray(np.asarray(image.convert('RGB'))[..., ::-1])


class _Video:
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

    def __enter__(self) -> '_Video':
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
    with _Video(path, option) as video:
        return video.info


def video_frames(path: Union[str, Path], option: str = '--input') -> Iterator[np.ndarray]:
    """Yield the frames of a video, (H, W, 3) uint8, blue first.

    Raises:
        InvalidInput: If it cannot be read, or has no frames.
    """
    with _Video(path, option) as video:
        read = False
        for frame in video:
            read = True
            yield frame
        if not read:
            raise InvalidInput(f'{video.where}: has no frames that can be read')


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
                with _Video(path, self.option) as video:
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
