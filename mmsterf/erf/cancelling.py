"""Tell whether gradients cancel over the channels, at a small size where that is cheaper."""

from collections.abc import Callable, Sequence
from typing import Optional

import numpy as np
import torch
from torch import Tensor, nn

from .backward import maps_of
from .capture import capture
from .ending import ending
from .inputs import Position, locate_in, pack
from .layers import Layer, probe
from .memory import resized
from .state import same_randomness

CANCELS = 1e-3
"""Ones over the channels that give less than this part of what random signs give have cancelled."""
SMALL, LARGE = 128, 512
"""From the larger side on an image of the smaller one, which has the same channels, is asked."""


def cancelling(ones: np.ndarray, signs: np.ndarray, dtype: torch.dtype) -> bool:
    """Tell whether ones over the channels give (next to) nothing where random signs give something."""
    return bool(ones.sum() < max(CANCELS, 16 * torch.finfo(dtype).eps) * signs.sum())


def cancelling_when_small(
    model: nn.Module,
    sample: Tensor,
    layers: Sequence[Layer],
    position: Position,
    step,
    time_steps: int,
    input_time: str,
    axes,
    forward: Optional[Callable],
    like: Tensor,
    signed: bool,
) -> list[Optional[bool]]:
    """Tell of layers whether their gradient cancels; None where the full size has to be asked.

    That is where the image is small, the model does not take a smaller one, or no gradient arrives.
    """
    if min(sample.shape[-2:]) < LARGE or not isinstance(position, str):
        return [None for _ in layers]
    share = SMALL / min(sample.shape[-2:])
    size = tuple(max(round(n * share / 32), 1) * 32 for n in sample.shape[-2:])
    try:
        with same_randomness():
            x = pack([resized(sample, size)], input_time, like)
            short = ending(model, [layer.module for layer in layers], forward) if time_steps == 1 else forward
            graph = {}
            usable, _ = probe(model, x, size, time_steps, axes, short, graph)
            small = [usable[layer.name] for layer in layers]
            captured = capture(model, x, small, time_steps, forward, True) if signed else [graph[c.name] for c in small]
            found = []
            for layer, calls in zip(small, captured):
                cell, _ = locate_in(position, size, layer.grid, layer.window)
                how = (cell, 'last' if step == 'all' else step, time_steps, input_time, 1)
                ones, signs = (maps_of(layer, calls, x, *how, True, signs=s, blocks=False) for s in (False, True))
                told = np.isfinite(signs).all() and np.isfinite(ones).all() and signs.any()
                found.append(cancelling(ones, signs, x.dtype) if told else None)
            return found
    except Exception:  # whatever a model says to a size it cannot take
        return [None for _ in layers]
