"""A picture that a model is to predict for."""

from dataclasses import dataclass
from typing import Optional

import numpy as np


@dataclass
class Item:
    """An image, a frame of a video, or a window of events.

    Attributes:
        name (str): For results; differs from those of all other items. A frame's: its video's name, '/' and its number.
        path (str): The file.
        image (np.ndarray, optional): (H, W, 3) uint8, BGR; None if there is an error.
        converted (str): What it was, if not 8-bit colour.
        frame (int, optional): Number in a video, from 0.
        inputs (dict, optional): Of a window of events: what its pipeline begins with, in the place of the image.
        fps (float): Frames a second, of those that are taken.
        error (str): Why it could not be read.
    """

    name: str
    path: str
    image: Optional[np.ndarray] = None
    converted: str = ''
    frame: Optional[int] = None
    fps: float = 0.0
    inputs: Optional[dict] = None
    error: str = ''
