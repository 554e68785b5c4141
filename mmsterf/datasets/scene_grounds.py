"""Textured grounds of digit scenes, the colours that stand out from them, and the light and grain of the camera."""

from __future__ import annotations

import cv2
import numpy as np

# Luminance weights of B, G and R: colours are told apart by how different they look bright, mostly.
_LUMA = np.array([0.114, 0.587, 0.299], np.float32)


def _noise(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Noise at several scales, float32 (H, W), about 0..1; a random exponent makes it cloudy or rough."""
    field, roughness, cells = np.zeros(size, np.float32), rng.uniform(0.4, 0.85), 3
    amplitude = 1.0
    while cells < min(size):
        coarse = rng.standard_normal((cells, cells), np.float32)
        field += amplitude * cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
        amplitude, cells = amplitude * roughness, cells * 2
    return 0.5 + field / (4 * field.std())


def _pattern(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A gradient, rings, stripes, checks or dots, float32 (H, W) in 0..1."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi, 2)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    wave = 2 * np.pi / rng.uniform(8, 48)
    kind = rng.integers(5)
    if kind == 0:
        return (u - u.min()) / (u.max() - u.min())
    if kind == 1:
        radius = np.hypot(x - rng.uniform(0, size[1]), y - rng.uniform(0, size[0]))
        return 0.5 + 0.5 * np.sin(wave * radius)
    if kind == 2:
        field = np.sin(wave * u + phase[0])
    elif kind == 3:
        field = np.sin(wave * u + phase[0]) * np.sin(wave * v + phase[1])
    else:
        field = np.sin(wave * u + phase[0]) + np.sin(wave * v + phase[1]) - 1
    return np.clip(0.5 + field * rng.uniform(0.5, 4), 0, 1)


def draw_background(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A textured background of two colours and some tint, float32 (H, W, 3) in about 0..255.

    Args:
        rng: Source of the variation.
        size: Height and width, pixels.
    """
    first = rng.uniform(20, 235, 3).astype(np.float32)
    second = np.clip(first + rng.uniform(-80, 80, 3), 10, 245).astype(np.float32)
    weight = rng.uniform(0.2, 1)
    blend = np.clip(weight * _noise(rng, size) + (1 - weight) * _pattern(rng, size), 0, 1)
    tint = (_noise(rng, size)[..., None] - 0.5) * rng.uniform(-40, 40, 3).astype(np.float32)
    return first + blend[..., None] * (second - first) + tint


def pick_colour(rng: np.random.Generator, under: np.ndarray) -> np.ndarray:
    """A colour that stands out from the pixels `under` it, (N, 3): from nine in ten of them by a random contrast."""
    contrast = rng.uniform(45, 110)
    candidates = rng.uniform(0, 255, (32, 3)).astype(np.float32)
    under = under[:: max(1, len(under) // 64)]
    distance = np.sqrt((np.square(candidates[:, None] - under[None]) * _LUMA).sum(-1))
    distance = np.quantile(distance, 0.1, axis=1)
    good = np.flatnonzero(distance >= contrast)
    return candidates[good[0] if len(good) else distance.argmax()]


def expose(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """The picture that a camera takes, uint8: uneven light and the grain of the sensor lie on everything."""
    image = image * (1 + rng.uniform(0, 0.25) * (_noise(rng, image.shape[:2])[..., None] - 0.5))
    image += rng.uniform(2, 7) * rng.standard_normal(image.shape, np.float32)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)
