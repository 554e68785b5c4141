"""Image files of any kind, read to 8-bit BGR; imports no mm* package."""

from pathlib import Path
from typing import NamedTuple, Optional, Union

import numpy as np

from mmsterf.errors import InvalidInput

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
            # of 16-bit CMYK, OpenCV prints an error that means nothing here
            pixels = None if deep and mode == 'CMYK' else _by_opencv(content, mode)
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
