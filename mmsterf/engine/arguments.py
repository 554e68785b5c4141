"""Types of command line arguments that all tools share: what is out of range is named before any work."""

import argparse
import math
from typing import Callable, Optional

SEEDS = 2**32 - 1
"""Largest seed that Python, NumPy and PyTorch all take."""

BACKENDS = ('torch', 'nnpack', 'openvino', 'openvino+nnpack', 'onnxruntime')
"""Choices of --backend: PyTorch as it is, and what `mmsterf.deploy.compiled` takes."""


def whole(least: Optional[int] = None, most: Optional[int] = 10**9) -> Callable[[str], int]:
    """Type of whole numbers from `least` to `most`."""

    def convert(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f'must be a whole number, got {text!r}') from None
        return _within(value, least, most)

    return convert


def number(
    least: Optional[float] = None, most: Optional[float] = None, above: Optional[float] = None
) -> Callable[[str], float]:
    """Type of finite numbers from `least` (or larger than `above`) to `most`."""

    def convert(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f'must be a number, got {text!r}') from None
        if not math.isfinite(value):
            raise argparse.ArgumentTypeError(f'must be a finite number, got {text}')
        if above is not None and value <= above:
            raise argparse.ArgumentTypeError(f'must be larger than {above:g}, got {value:g}')
        return _within(value, least, most)

    return convert


def _within(value, least, most):
    if least is not None and value < least:
        raise argparse.ArgumentTypeError(f'must be at least {least}, got {value}')
    if most is not None and value > most:
        raise argparse.ArgumentTypeError(f'must be at most {most}, got {value}')
    return value


seed = whole(0, SEEDS)
side = whole(1, 16384)
count = whole(1, 10**6)


def device(text: str) -> str:
    """Type of the names of devices that this machine has."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    here = ['cpu', *(f'cuda:{i}' for i in range(count))]
    valid = f'valid here: {", ".join(here)}'
    try:
        found = torch.device(text)
        if found.type == 'meta':
            raise RuntimeError
    except RuntimeError:
        raise argparse.ArgumentTypeError(f'{text!r} is no device; {valid}') from None
    if found.type == 'cpu' or (found.type == 'cuda' and (found.index or 0) < count):
        return text
    try:
        torch.zeros(1, device=found)
    except Exception:  # each kind of device has an error of its own for not being there
        raise argparse.ArgumentTypeError(f'{text!r} is not on this machine; {valid}') from None
    return text


def file_name(text: str) -> str:
    """Type of names that are not empty."""
    if not text.strip() or '\0' in text:
        raise argparse.ArgumentTypeError(f'must be the name of a file or folder, got {text!r}')
    return text
