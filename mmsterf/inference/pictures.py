"""Large, legible pictures: enlarging, colours, and lines of text below."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Optional

import cv2
import matplotlib
import matplotlib.font_manager
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmsterf.palette import class_colours

LONG_SIDE = 800
"""About the longer side of an enlarged picture, in pixels."""


def zoom_of(height: int, width: int, long_side: int = LONG_SIDE) -> int:
    """Whole factor that brings an image near to `long_side`; never below 1."""
    return max(1, round(long_side / max(height, width)))


def enlarged(image: np.ndarray, zoom: int) -> np.ndarray:
    """An image (H, W, 3), `zoom` times as large."""
    if zoom == 1:
        return image
    return cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_CUBIC)


def repeated(maps: np.ndarray, zoom: int) -> np.ndarray:
    """Masks or label maps (..., H, W), `zoom` times as large."""
    return maps.repeat(zoom, -1).repeat(zoom, -2)


def font_size(height: int, width: int) -> int:
    """Size of text in pixels, by the size of the picture."""
    return max(14, round(max(height, width) / 45))


def colours(number: int, palette=None) -> list:
    """`number` RGB colours: the palette where it is long enough, or ones that everybody tells apart."""
    if isinstance(palette, Sequence) and not isinstance(palette, str) and len(palette) >= number:
        return [tuple(int(value) for value in colour) for colour in palette[:number]]
    return list(class_colours(number))


@lru_cache
def font(size: int):
    """matplotlib's font, which has more alphabets than OpenCV's."""
    return ImageFont.truetype(matplotlib.font_manager.findfont('DejaVu Sans'), size)


def text_width(text: str, size: int) -> int:
    """Pixels that a text takes."""
    return int(font(size).getlength(text)) + 1


def place_labels(boxes: Sequence[Sequence], sizes: Sequence[Sequence], width: float, height: float) -> list[tuple]:
    """Places of the boxes' labels, at which they cover each other least; the last ones choose first.

    Above a box, then below, inside and beside it, and a label's height farther away; the first place that is free.

    Args:
        boxes: (x1, y1, x2, y2) of each.
        sizes: (width, height) of each label.
        width: Of the picture, which labels do not leave.
        height: Of the picture.

    Returns:
        list[tuple]: (x, y) of the upper left corner of each label.
    """
    places, taken = [None] * len(boxes), np.zeros((0, 4))
    for i in reversed(range(len(boxes))):
        (x1, y1, x2, y2), (w, h) = boxes[i], sizes[i]
        rows = (y1 - h, y2, y1, y2 - h, y1 - 2 * h, y2 + h, y1 + h, y1 - 3 * h, y2 + 2 * h)
        corners = [(x, y) for y in rows for x in (x1, x2 - w)]
        corners += [(x, y) for y in (y1, (y1 + y2 - h) / 2, y2 - h) for x in (x2, x1 - w)]
        x, y = np.transpose(corners)
        x, y = x.clip(0, max(0, width - w)), y.clip(0, max(0, height - h))
        across = np.minimum((x + w)[:, None], taken[:, 2]) - np.maximum(x[:, None], taken[:, 0])
        down = np.minimum((y + h)[:, None], taken[:, 3]) - np.maximum(y[:, None], taken[:, 1])
        best = int((across.clip(0) * down.clip(0)).sum(1).argmin())
        places[i] = (float(x[best]), float(y[best]))
        taken = np.vstack([taken, (x[best], y[best], x[best] + w, y[best] + h)])
    return places


def lines_of(
    entries: Sequence[tuple], width: int, size: int, rows: Optional[int] = None, most: Optional[int] = None
) -> np.ndarray:
    """Draw entries side by side, in as many rows as they need.

    Args:
        entries: Pairs of an RGB colour (None: no square in front) and a text.
        width: Of the picture.
        size: Of the text, in pixels.
        rows: Exactly so many rows, for frames that must be of one size; what has no room is left out.
        most: At most so many rows.

    Returns:
        np.ndarray: (rows * height of a row, width, 3), RGB.
    """
    line, gap = round(1.6 * size), round(0.5 * size)
    placed, x, row = [], gap, 0
    for colour, text in entries:
        # Longer than a whole row: cut.
        while len(text) > 1 and text_width(text, size) + 4 * gap + size > width:
            text = text[:-2] + '…'
        needed = text_width(text, size) + (size + gap if colour is not None else 0)
        if x > gap and x + needed > width:
            x, row = gap, row + 1
        placed.append((x, row, colour, text))
        x += needed + 3 * gap
    number = rows or min(row + 1, most or row + 1)
    image = Image.new('RGB', (width, number * line), 'white')
    draw = ImageDraw.Draw(image)
    for x, row, colour, text in placed:
        if row >= number:
            break
        top = row * line + (line - size) // 2
        if colour is not None:
            draw.rectangle((x, top, x + size - 1, top + size - 1), fill=tuple(colour), outline='black')
            x += size + gap
        draw.text((x, row * line + line // 2), text, fill='black', font=font(size), anchor='lm')
    return np.asarray(image)


def below(image: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """An image with lines of text below it."""
    return np.concatenate([image, lines])
