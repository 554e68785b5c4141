"""Spatio-temporal effective receptive field (ST-ERF) of any layer of any `nn.Module`.

    ERF(i,j)[ y(m,n)[t], tau ; x ] = d y(m,n)[t] / d x(i,j)[t - tau]

Ones are put into the gradient of a layer's output y at one position (all channels), back-propagated to the input x, and
the absolute gradient is averaged over input channels and inputs. Source: Zhang et al., "Unveiling the Spatial-temporal
Effective Receptive Fields of Spiking Neural Networks", NeurIPS 2025, section 3; without time: Luo et al.,
"Understanding the Effective Receptive Field in Deep Convolutional Neural Networks", NeurIPS 2016.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Optional, Union

import numpy as np
import torch
from torch import Tensor, nn

from . import block_ops  # noqa: F401  operations on blocks
from .axes import Order, check_order
from .backward import maps_of
from .blocks import guard
from .cancelling import cancelling, cancelling_when_small
from .capture import run
from .chain import is_chain, maps_in_chain
from .crops import cropped_plan
from .ending import ending
from .gains import about_raised, about_zero, raise_gains
from .inputs import INPUTS, Position, batched, chain, locate, pack, samples_of
from .layers import Layer
from .memory import TooLarge, batch_within, limits_of, too_large
from .notes import notes_on
from .plan import Task, run_sample, whole_plan
from .state import untouched

STEPS = ('last', 'all', 'sum')

_LOG = logging.getLogger('mmsterf.erf')  # without any set-up, Python prints warnings of loggers to stderr


@dataclass
class STERF:
    """The ST-ERF of one layer.

    Attributes:
        layer: Name of the layer.
        mean: (D, H, W) float64, mean over inputs of the absolute gradient; axis 0 is the delay in steps, 0 first. D is
            1 where delays cannot be told apart (one image for all steps, or ``step='sum'``).
        sem: (D, H, W) float64, standard error of `mean`; NaN for one input.
        num: Number of inputs.
        centre: (row, column) of the analysed position in input pixels.
        cell: The same on the layer's grid.
        grid: (h, w) of the layer's output.
        time_steps: T.
        step: Output step: an index, 'last', 'all' or 'sum'.
        cancels: Whether the gradient cancels over the channels, as behind a layer norm: then the map is rounding error.
        notes: What a reader has to know about the map, a sentence each.
        signed: Whether positive parts were taken in place of absolute values (`st_erf`).
        channels: C of the input, the colours that `mean` is averaged over.
        samples: (N, D, H, W) float32, the map of each input, if they were asked for.
        field: (height, width) in pixels of the theoretical receptive field, which kernels, strides, paddings and
            dilations give, as if the image had no borders; None where an op in front of the layer is not local.
    """

    layer: str
    mean: np.ndarray
    sem: np.ndarray
    num: int
    centre: tuple[int, int]
    cell: tuple[int, int]
    grid: tuple[int, int]
    time_steps: int
    step: Union[int, str]
    cancels: bool = False
    notes: tuple[str, ...] = ()
    signed: bool = False
    channels: int = 3
    samples: Optional[np.ndarray] = None
    field: Optional[tuple[int, int]] = None

    def spatial(self, weights: Optional[Sequence[float]] = None) -> np.ndarray:
        """Return the spatial ERF (H, W): the mean over delays, weighted by `weights` (D values, default equal)."""
        return np.average(self.mean, axis=0, weights=weights)

    def temporal(self) -> np.ndarray:
        """Return the temporal ERF (D,): the sum over space, a function of the delay."""
        return self.mean.sum((1, 2))


def st_erf(
    model: nn.Module,
    inputs: Union[Tensor, np.ndarray, Iterable],
    layers: Union[str, nn.Module, Iterable[Union[str, nn.Module]]],
    *,
    time_steps: int = 1,
    input_time: str = 'auto',
    axes: Union[Order, dict[str, Order]] = 'auto',
    position: Position = 'center',
    step: Union[int, str] = 'last',
    batch_size: int = 4,
    memory: Optional[float] = None,
    forward: Optional[Callable[[nn.Module, Tensor], object]] = None,
    progress: Optional[Callable[[int, int], None]] = None,
    in_front_of_norms: bool = False,
    unit_gains: bool = False,
    signed: bool = False,
    keep_samples: bool = False,
    notify: Callable[[str], None] = _LOG.warning,
) -> dict[str, STERF]:
    """Return the ST-ERF of layers of a model, averaged over inputs.

    One forward pass serves all layers and a batch of inputs, no weight gradient is computed, and the model is left as
    found (see `untouched`). Every input is analysed on its own, so the batch size changes memory and speed only.

    Args:
        model: Any module, data-parallel wrappers included; analysed in evaluation mode.
        inputs: A tensor or array laid out as `input_time` says; or samples (C, H, W) or (T, C, H, W), all of one size:
            any data set or iterable of tensors, arrays, (image, label) pairs or dicts with an image (see
            `mmsterf.erf.inputs.IMAGE_KEYS`); or a DataLoader of batches (N, ...) of these, labels or not.
        layers: Names, glob patterns or modules, one or several; ``name:i`` is the i-th tensor of a tuple output.
        time_steps: T, the number of steps the model runs.
        input_time: What the model takes: 'image' (N, C, H, W), shown for all T steps; 'sequence' (T, N, C, H, W); or
            'folded' (T*N, C, H, W), time-major. 'auto' takes tensors with 5 axes and samples with 4 for a sequence,
            others for images. Samples (C, H, W) are repeated over T where the model takes a sequence.
        axes: Order of the axes of the outputs: one of `AXES`, one with L and the number of tokens in front of the grid
            (``('NLC', 5)``), or a dict from layer patterns to that. 'auto' follows rows and columns through the graph
            (`Lineage`), and guesses from the shape, with a note, where an op is not understood.
        position: See `locate`.
        step: Output step whose gradient is taken: an index, 'last', 'all' (every step by itself; each delay is averaged
            over the steps that have it), or 'sum' (all steps at once, as published for the spatial ERF; the delay is
            averaged out).
        batch_size: Most inputs per forward pass; the first runs alone, and shows how many stay within `memory`.
        memory: GiB that a batch may take; default is half of what is free.
        forward: ``forward(model, x)`` runs the model; default ``model(x)``.
        progress: ``progress(done, total)`` is called after every back-propagation; total is 0 when unknown.
        in_front_of_norms: Take the layer in front where one ends in a layer norm, behind which ones may cancel.
        unit_gains: Take gains of norms and layer scales that are zero, as in fresh residual branches, as 1.
        signed: Take the gradient of the outputs' positive parts, and of that gradient the positive part, as RepLKNet
            does, in place of the absolute gradient of the outputs. Pixels that lower the output then count nothing.
        keep_samples: Keep the map of each input in `STERF.samples`, as `compare` needs them.
        notify: Called with every note on a result (`STERF.notes`); default is a warning of the logger `mmsterf.erf`.

    Returns:
        `STERF` by layer name, in the order of `layers`.

    Raises:
        ValueError: If an argument is out of range, or a layer cannot be analysed; the message lists those that can.
            If one input takes more than `memory` (by default, all that is free); the message names a size that fits.
    """
    _check(time_steps, input_time, axes, step, batch_size)
    samples, total, input_time = samples_of(inputs, input_time, time_steps)
    with untouched(model) as bare, torch.inference_mode(False), torch.enable_grad():
        like = next((p for p in bare.parameters() if p.is_floating_point()), torch.empty(0))
        first = next(samples, None)
        if first is None:
            raise ValueError('inputs are empty')
        size = tuple(first.shape[-2:])
        locate(position, size, size)  # before any work
        limit, most = limits_of(memory, like.device)
        layers = [layers] if isinstance(layers, (str, nn.Module)) else list(layers)
        short = ending(bare, layers, forward) if time_steps == 1 else forward  # steps may be calls
        raised = raise_gains(bare, lambda: run(bare, pack([first], input_time, like), short)) if unit_gains else []
        task = Task(
            bare, first, layers, position, time_steps, input_time, axes, like, forward, short, most,
            in_front_of_norms, signed,
        )  # fmt: skip
        try:
            plan, notes = cropped_plan(task)
            plan = plan or whole_plan(task, notes)
        except TooLarge:
            raise ValueError(too_large(bare, first, most, memory is not None, partial(run_sample, task))) from None
        chosen = plan.layers
        _check_steps(chosen, step)
        streams, kept = [_Stream() for _ in chosen], [[] for _ in chosen]
        cancelled = cancelling_when_small(
            bare, first, chosen, position, step, time_steps, input_time, axes, forward, like, signed
        )
        blocks, done = True, 0

        def take(k: int, maps: np.ndarray) -> None:
            nonlocal done
            maps = plan.spread(maps)
            for sample in maps:
                streams[k].add(sample)
            if keep_samples:
                kept[k].append(maps.astype('f4'))
            done += len(maps)
            if progress:
                progress(done, total * len(chosen))

        for batch in chain([first], batched(samples, batch_within(limit, plan.need, batch_size))):
            x, captured = plan.run(batch)
            guard(edge for edges in captured for edge, _ in edges)
            how = {'time_steps': time_steps, 'input_time': input_time, 'num': len(batch), 'signed': signed}
            if step != 'all' and None not in cancelled and is_chain(captured):
                chained = partial(maps_in_chain, chosen, cells=plan.cells, step=step, **how)
                try:
                    found = list(chained(captured, x, blocks=blocks))
                except (RuntimeError, TypeError, NotImplementedError) as error:
                    if not blocks:
                        raise
                    _LOG.debug('full gradients are computed: %s', error)
                    blocks, (x, captured) = False, plan.run(batch)
                    found = list(chained(captured, x, blocks=False))
                for k, maps in found:
                    take(k, maps)
                captured = x = None
                continue
            # deepest first: its graph holds the others', which then stay warm in the cache
            for k in reversed(range(len(chosen))):
                back = partial(maps_of, chosen[k], captured[k], x, plan.cells[k], **{**how, 'signed': False})
                unknown = cancelled[k] is None
                if unknown:
                    other = {'step': 'last' if step == 'all' else step, 'retain': True}
                    signs, blocks = _either(back, blocks, signs=True, **other)
                    ones = back(blocks=blocks, **other) if signed or step == 'all' else None
                # the first graph is kept until it is known to take blocks
                maps, blocks = _either(back, blocks, step=step, retain=k > 0 or not streams[k].num, signed=signed)
                if unknown:
                    cancelled[k] = cancelling(maps if ones is None else ones, signs, x.dtype)
                captured[k] = back = None  # what only this layer's graph held is free
                take(k, maps)
            captured = x = None
    result, told = {}, set()
    zero = about_zero(list(dict.fromkeys(name for names in plan.blocked for name in names)))
    parts = zip(plan.asked, streams, plan.pixels, plan.fields, cancelled, kept, plan.blocked)
    for (layer, cell), stream, pixel, field, cancels, maps, names in parts:
        notes = notes_on(layer, cancels, bool(np.isfinite(stream.mean).all()))
        notes += [*plan.notes] + [zero] * bool(names) + [about_raised(raised)] * bool(raised)
        result[layer.name] = STERF(
            layer.name, stream.mean, stream.sem(), stream.num, pixel, cell, layer.grid,
            time_steps, step, cancels, tuple(notes), signed,
            first.shape[-3], np.concatenate(maps) if maps else None, field.size if field else None,
        )  # fmt: skip
        for note in notes:
            if note not in told:
                notify(note)
        told.update(notes)
    return result


class _Stream:
    """Running mean and standard error (Welford 1962)."""

    def __init__(self) -> None:
        self.num, self.mean, self.squares = 0, 0.0, 0.0

    def add(self, value: np.ndarray) -> None:
        self.num += 1
        delta = value - self.mean
        self.mean = self.mean + delta / self.num
        self.squares = self.squares + delta * (value - self.mean)

    def sem(self) -> np.ndarray:
        if self.num < 2:
            return np.full_like(self.mean, np.nan)
        return np.sqrt(self.squares / (self.num - 1) / self.num)


def _either(back: Callable, blocks: bool, **how) -> tuple[np.ndarray, bool]:
    """Return the maps, computed with blocks unless the graph does not take them, and whether it does."""
    if blocks:
        try:
            return back(blocks=True, **how), True
        except (RuntimeError, TypeError, NotImplementedError) as error:
            _LOG.debug('full gradients are computed: %s', error)
    return back(blocks=False, **how), False


def _check(time_steps, input_time, axes, step, batch_size) -> None:
    if not isinstance(time_steps, int) or time_steps < 1:
        raise ValueError(f'time_steps must be a positive integer, got {time_steps!r}')
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f'batch_size must be a positive integer, got {batch_size!r}')
    if input_time not in ('auto', *INPUTS):
        raise ValueError(f'input_time must be one of auto, {", ".join(INPUTS)}, got {input_time!r}')
    for order in axes.values() if isinstance(axes, dict) else [axes]:
        check_order(order)
    if not (step in STEPS if isinstance(step, str) else isinstance(step, int) and -time_steps <= step < time_steps):
        raise ValueError(f'step must be one of {", ".join(STEPS)} or an index below {time_steps}, got {step!r}')


def _check_steps(layers: list[Layer], step) -> None:
    if step in ('last', 'sum'):
        return
    for layer in layers:
        if layer.time == 'none' and layer.shape[0] == 1 and step not in (0, -1):
            raise ValueError(
                f"layer {layer.name!r} has one output for all steps: step must be 'last' or 'sum', not {step!r}"
            )
