"""Events as pictures: brighter ones red, darker ones blue, on white."""

import numpy as np

from .steps import to_steps

BRIGHTER, DARKER = (40, 40, 220), (220, 120, 30)
"""Colours (BGR)."""


def picture(events: np.ndarray, size: tuple) -> np.ndarray:
    """Events of a window as an image (H, W, 3) uint8, BGR."""
    inside = (events['x'] >= 0) & (events['x'] < size[1]) & (events['y'] >= 0) & (events['y'] < size[0])
    return coloured(to_steps(events[inside], 0, int(events['t'].max(initial=0)) + 1, size, 1)[0])


def coloured(maps: np.ndarray, signed: bool = False) -> np.ndarray:
    """Maps of events (T*C, H, W) as an image (H, W, 3) uint8, BGR: the more, the stronger the colour of the kind.

    Args:
        maps: As a pipeline gives them: by turns darker and brighter, or, if signed, brighter minus darker.
        signed: Which of both.
    """
    darker, brighter = (-maps.clip(max=0), maps.clip(min=0)) if signed else (maps[::2], maps[1::2])
    darker, brighter = darker.sum(0), brighter.sum(0)
    total = darker + brighter
    share = np.where(total > 0, brighter / np.maximum(total, 1e-6), 0.5)[..., None]
    strength = (1 - 0.5**total)[..., None]
    colour = share * np.array(BRIGHTER) + (1 - share) * np.array(DARKER)
    return np.round(255 * (1 - strength) + colour * strength).astype(np.uint8)
