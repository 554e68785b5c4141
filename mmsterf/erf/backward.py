"""From a captured graph to maps: seed, back-propagate, average over colours."""

import numpy as np
import torch
from torch import Tensor

from .blocks import Block, dense


def maps_of(
    layer, calls, x, cell, step, time_steps, input_time, num, retain, signs=False, signed=False, blocks=True
) -> np.ndarray:
    """Return the maps (N, D, H, W) of one layer for a batch.

    Args:
        layer: A `Layer`.
        calls: Of each call of the layer the (gradient edge, empty tensor like the output).
        x: The input.
        cell: (row, column) on the layer's grid.
        step, time_steps, input_time: See `st_erf`.
        num: N.
        retain: Keep the graph.
        signs: Random signs over the channels in place of ones.
        signed: The positive part of the gradient in place of its absolute value.
        blocks: Compute only what may not be zero (see `blocks`).
    """

    def gradient(t, retain_graph):
        picked = calls if layer.time == 'calls' else calls[:1]
        if layer.time == 'calls' and isinstance(t, int):
            picked = [calls[t]]
        edges, likes = zip(*picked)
        seeds = [layer.seed(torch.empty_like(y, device=x.device), cell, t, time_steps, signs) for y in likes]
        seeds = seeds if blocks else list(map(dense, seeds))
        (grad,) = torch.autograd.grad(edges, x, seeds, retain_graph=retain_graph)
        return _averaged(dense(grad.detach()), time_steps, input_time, num, signed)

    if step == 'all':
        by_step = [gradient(t, retain or t < time_steps - 1) for t in range(time_steps)]
        if input_time == 'image':
            return np.mean(by_step, axis=0)
        return np.stack(
            [np.mean([by_step[t][:, t - d] for t in range(d, time_steps)], axis=0) for d in range(time_steps)], axis=1
        )
    return _by_delay(gradient(_step(step, time_steps), retain), step, time_steps, input_time)


def seed_of(layer, like: Tensor, x: Tensor, cell, step, time_steps: int) -> Block:
    """Return the gradient to put into an output, of one step or of all (not for ``step='all'``)."""
    return layer.seed(torch.empty_like(like, device=x.device), cell, _step(step, time_steps), time_steps)


def finished(grad: Tensor, step, time_steps: int, input_time: str, num: int, signed: bool) -> np.ndarray:
    """Return the maps (N, D, H, W) of a gradient of the input (not for ``step='all'``)."""
    return _by_delay(_averaged(grad, time_steps, input_time, num, signed), step, time_steps, input_time)


def _step(step, time_steps: int):
    return slice(None) if step == 'sum' else range(time_steps)[-1 if step == 'last' else step]


def _averaged(grad: Tensor, time_steps: int, input_time: str, num: int, signed: bool) -> np.ndarray:
    """(N, T, H, W): absolute values, or positive parts, averaged over colours."""
    grad = grad.relu() if signed else grad.abs()
    if input_time == 'image':
        grad = grad[None]
    elif input_time == 'folded':
        grad = grad.unflatten(0, (time_steps, num))
    return grad.mean(2, dtype=torch.float64).transpose(0, 1).cpu().numpy()


def _by_delay(maps: np.ndarray, step, time_steps: int, input_time: str) -> np.ndarray:
    if step == 'sum' or input_time == 'image':
        return maps.mean(1, keepdims=True)
    return maps[:, _step(step, time_steps) :: -1]
