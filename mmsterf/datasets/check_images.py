"""Image and label map files: what is wrong with one, in a clause."""

import os
from typing import Optional

import cv2
import numpy as np
from PIL import Image


def image_error(path: str, *, whole: bool = True) -> Optional[str]:
    """What is wrong with an image or label map file, or None.

    Args:
        path (str): The file.
        whole (bool): Decode it; else only its head is looked at.
    """
    if os.path.isdir(path):
        return 'is a folder'
    try:
        with open(path, 'rb') as stream:
            content = stream.read(-1 if whole else 64)
    except OSError as error:
        return f'cannot be read: {error.strerror}'
    if not content:
        return 'is an empty file'
    try:
        with Image.open(path) as image:
            kind = image.format
    except Exception:
        return 'is no image: it is of no known format, or broken at its beginning'
    try:
        if whole and cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) is None:
            return f'is a {kind} file that cannot be decoded: it is truncated or damaged'
    except cv2.error as error:
        return f'is a {kind} file that cannot be decoded: {error.err}'
    return None
