"""Inputs of an analysis: noise, samples in any layout, batches, and positions in an image."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Optional, Union

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset

INPUTS = ('image', 'sequence', 'folded')
"""What a model takes: (N, C, H, W), (T, N, C, H, W), or (T*N, C, H, W) time-major."""

Position = Union[str, tuple[float, float], tuple[int, int]]


class Noise(Sequence):
    """`num` standard-normal inputs of one shape; the i-th depends on `seed` and i alone.

    Args:
        num: How many.
        shape: (C, H, W), or (T, C, H, W) for a different frame per step.
        seed: Non-negative integer.
    """

    def __init__(self, num: int, shape: tuple[int, ...], seed: int = 0) -> None:
        if num < 1:
            raise ValueError(f'num of inputs must be at least 1, got {num}')
        self.num, self.shape, self.seed = num, tuple(shape), seed

    def __len__(self) -> int:
        return self.num

    def __getitem__(self, i: int) -> Tensor:
        if not 0 <= i < self.num:
            raise IndexError(i)
        return torch.from_numpy(np.random.default_rng([self.seed, i]).standard_normal(self.shape))


def locate(position: Position, size: tuple[int, int], grid: tuple[int, int]) -> tuple[int, int]:
    """Return the (row, column) on `grid` of a position in an image of `size`; ``grid=size`` gives the input pixel.

    Args:
        position: 'center' is (H // 2, W // 2); two floats in [0, 1] are fractions of height and width; two integers are
            an input pixel, whose cell is the one that covers it.
        size: (H, W) of the input.
        grid: (h, w).

    Raises:
        ValueError: If the position is none of these or lies outside.
    """
    if position == 'center':
        return grid[0] // 2, grid[1] // 2
    if not isinstance(position, str) and len(position) == 2:
        if all(isinstance(p, int) and 0 <= p < n for p, n in zip(position, size)):
            return tuple(p * g // n for p, g, n in zip(position, grid, size))
        if all(isinstance(p, float) and 0 <= p <= 1 for p in position):
            return tuple(min(int(p * g), g - 1) for p, g in zip(position, grid))
    raise ValueError(
        f"position must be 'center', two fractions between 0.0 and 1.0, or a pixel (row, column) inside "
        f'{size[0]} x {size[1]}, got {position!r}'
    )


def locate_in(
    position: Position,
    size: tuple[int, int],
    grid: tuple[int, int],
    window: Optional[tuple[float, float, float, float]],
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the cell of a position on a grid that covers a window of the image, and the input pixel.

    Args:
        position, size, grid: See `locate`; 'center' is that of the window.
        window: (top, left, bottom, right) in input pixels; None for the whole image.

    Raises:
        ValueError: If the position is not in the window.
    """
    pixel = locate(position, size, size)
    if window is None:
        return locate(position, size, grid), pixel
    top, left, bottom, right = window
    steps = (bottom - top) / grid[0], (right - left) / grid[1]
    if position == 'center':
        cell = grid[0] // 2, grid[1] // 2
        pixel = tuple(int(start + (c + 0.5) * step) for start, c, step in zip((top, left), cell, steps))
        return cell, tuple(min(max(p, 0), n - 1) for p, n in zip(pixel, size))
    cell = tuple(int((p + 0.5 - start) // step) for p, start, step in zip(pixel, (top, left), steps))
    if not all(0 <= c < n for c, n in zip(cell, grid)):
        box = ' '.join(f'{edge:.0f}' for edge in window)
        raise ValueError(f'position {position!r} is not in the region of interest {box} (top left bottom right)')
    return cell, pixel


def samples_of(inputs, input_time: str, time_steps: int) -> tuple[Iterator[Tensor], int, str]:
    """Return an iterator over samples (C, H, W) or (T, C, H, W), their number (0 if unknown), and the input kind.

    Args:
        inputs: See `st_erf`.
        input_time, time_steps: See `st_erf`.

    Raises:
        ValueError: If a sample is no image, or has another shape than `input_time` or the first one says.
    """
    if isinstance(inputs, np.ndarray):
        inputs = _tensor(inputs, 'inputs')
    if isinstance(inputs, Tensor):
        if input_time == 'auto':
            input_time = 'sequence' if inputs.ndim == 5 else 'image'
        if inputs.ndim != (5 if input_time == 'sequence' else 4):
            raise ValueError(f'inputs have shape {tuple(inputs.shape)}, which is not that of input_time={input_time!r}')
        if input_time == 'folded':
            if len(inputs) % time_steps:
                raise ValueError(f'{len(inputs)} folded inputs are no multiple of time_steps={time_steps}')
            inputs = inputs.unflatten(0, (time_steps, -1))
        if input_time != 'image':
            inputs = inputs.transpose(0, 1)
    total, iterator = _items(inputs)
    if input_time == 'auto':
        first = next(iterator, None)
        input_time = 'sequence' if first is not None and first.ndim == 4 else 'image'
        iterator = iter(()) if first is None else chain(first, iterator)

    def checked() -> Iterator[Tensor]:
        shape = None
        for i, sample in enumerate(iterator):
            if input_time != 'image' and sample.ndim == 3:
                sample = sample.expand(time_steps, *sample.shape)
            if sample.ndim != (3 if input_time == 'image' else 4) or not sample.numel():
                raise ValueError(f'input {i} has shape {tuple(sample.shape)}, which is not a sample of {input_time!r}')
            if input_time != 'image' and len(sample) != time_steps:
                raise ValueError(f'input {i} has {len(sample)} steps, but time_steps is {time_steps}')
            if shape and tuple(sample.shape) != shape:
                raise ValueError(f'input {i} has shape {tuple(sample.shape)}, the first one {shape}: resize them')
            shape = tuple(sample.shape)
            yield sample

    return checked(), total, input_time


def _items(inputs) -> tuple[int, Iterator[Tensor]]:
    """Return the number of samples (0 if unknown), and the samples, without labels, out of their batches."""
    if isinstance(inputs, DataLoader):
        batched = inputs.batch_size is not None or inputs.batch_sampler is not None
        total = 0
        if not isinstance(inputs.dataset, IterableDataset):
            total = len(inputs) * (inputs.batch_size or 1) if inputs.drop_last else len(inputs.sampler)
            total = 0 if inputs.batch_size is None and batched else total
        images = (_tensor(item, f'item {i} of the DataLoader') for i, item in enumerate(inputs))
        return total, (image for batch in images for image in batch) if batched else images
    if not isinstance(inputs, Iterable) and not hasattr(inputs, '__getitem__'):
        raise ValueError(
            f'inputs must be a tensor, an array, or a data set, DataLoader or other iterable of samples, got a '
            f'{type(inputs).__name__}'
        )
    try:
        total = len(inputs)
    except TypeError:
        total = 0
    # data sets have a length and items, and often neither an iterator nor an IndexError
    by_index = total and hasattr(inputs, '__getitem__') and not hasattr(type(inputs), '__iter__')
    items = (inputs[i] for i in range(total)) if by_index else iter(inputs)
    return total, (_tensor(item, f'input {i}') for i, item in enumerate(items))


IMAGE_KEYS = ('inputs', 'image', 'img', 'pixel_values')
"""Where data sets whose items are dicts keep the image: OpenMMLab's, and Hugging Face's."""


def _tensor(item, what: str) -> Tensor:
    """Return the image of an item: itself, the first of (image, label, ...), or that of a dict."""
    if isinstance(item, Mapping):
        key = next((k for k in IMAGE_KEYS if k in item), None)
        if key is None:
            raise ValueError(
                f'{what} is a dict without {", ".join(IMAGE_KEYS[:-1])} or {IMAGE_KEYS[-1]}; its keys are '
                f'{", ".join(map(str, item)) or "none"}'
            )
        item = item[key]
    elif isinstance(item, (tuple, list)) and len(item):
        item = item[0]
    if isinstance(item, np.ndarray) and item.dtype.kind in 'fiub':
        item = np.ascontiguousarray(item)
        return torch.from_numpy(item.astype(np.int64) if item.dtype.kind == 'u' and item.itemsize > 1 else item)
    if not isinstance(item, Tensor):
        kind = f'an array of {item.dtype}' if isinstance(item, np.ndarray) else f'a {type(item).__name__}'
        raise ValueError(f'{what} is {kind}: images must be tensors or arrays of numbers (C, H, W)')
    return item


def chain(first, rest: Iterable) -> Iterator:
    """Yield `first`, then the rest."""
    yield first
    yield from rest


def batched(items: Iterable, size: int) -> Iterator[list]:
    """Cut an iterable into lists of `size` items; the last may be shorter."""
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def pack(batch: list[Tensor], input_time: str, like: Tensor) -> Tensor:
    """Make the input of a batch: a leaf that asks for its gradient, of the type and device of `like`."""
    x = torch.stack(batch, dim=0 if input_time == 'image' else 1)
    x = x.flatten(0, 1) if input_time == 'folded' else x
    return x.detach().to(like.device, like.dtype).requires_grad_()
