"""Image and label map files: what is wrong with one, in a clause."""

import os
from typing import Optional

import cv2
import numpy as np
from PIL import Image

from mmsterf.errors import InvalidInput
from mmsterf.events import is_recording, open_recording


def image_error(path: str, *, whole: bool = True) -> Optional[str]:
    """What is wrong with an image or label map file, or None.

    Args:
        path (str): The file.
        whole (bool): Decode it; else only its head is looked at.
    """
    return read_image(path, whole=whole, flag=cv2.IMREAD_UNCHANGED)[1]


def read_image(path: str, *, whole: bool = True, flag: int = cv2.IMREAD_COLOR) -> tuple:
    """Read an image as mmcv does, upright.

    Returns:
        tuple: (width, height) or None; what is wrong, as a clause, or None; what is odd, or None.
    """
    if os.path.isdir(path):
        return None, 'is a folder', None
    if is_recording(path):
        return _read_recording(path)
    try:
        with open(path, 'rb') as stream:
            content = stream.read(-1 if whole else 64)
    except FileNotFoundError:
        return None, 'is not there', None
    except OSError as error:
        return None, f'cannot be read: {error.strerror}', None
    if not content:
        return None, 'is an empty file', None
    try:
        with Image.open(path) as image:
            kind, size, mode = image.format, image.size, image.mode
    except Exception:
        return None, 'is no image: it is of no known format, or broken at its beginning', None
    if not whole:
        return size, None, None
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), flag)
    except cv2.error as error:
        return None, f'is a {kind} file that cannot be decoded: {error.err}', None
    if pixels is None:
        return None, f'is a {kind} file that cannot be decoded: it is truncated or damaged', None
    return pixels.shape[1::-1], None, _odd(path, content, kind, mode, pixels)


def _read_recording(path: str) -> tuple:
    """The same of an event recording, whose size is None where it does not say it."""
    if not os.path.exists(path):
        return None, 'is not there', None
    try:
        size = open_recording(path).size
    except InvalidInput as error:
        return None, 'cannot be read: ' + str(error).removeprefix(f'{path}: '), None
    return size and size[::-1], None, None


def _odd(path: str, content: bytes, kind: str, mode: str, pixels: np.ndarray) -> Optional[str]:
    if mode.startswith(('I', 'F')):
        return f'has more than 8 bits per pixel (mode {mode}), of which 8 are read'
    if min(pixels.shape[:2]) < 2:
        return f'is of {pixels.shape[1]} x {pixels.shape[0]} pixels'
    # OpenCV fills what is missing at the end with grey.
    if kind == 'JPEG' and not content.endswith(b'\xff\xd9'):
        try:
            with Image.open(path) as image:
                image.load()
        except Exception:
            return 'is truncated or damaged: its lower part is read as grey'
    return None
