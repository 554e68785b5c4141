"""How an analysis runs a model: which layers, where in them, and the forward pass of a batch of inputs."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np
from torch import Tensor, nn

from .capture import calls, capture, contiguous_gradients, run
from .fields import Box, Field, field_of
from .gains import zero_gains
from .inputs import Position, locate_in, pack
from .layers import Layer, probe, select
from .lineage import Lineage
from .memory import Meter, TooLarge
from .notes import in_front


@dataclass(frozen=True)
class Task:
    """What was asked for (see `st_erf`).

    Attributes:
        model: The model inside `untouched`.
        first: The first sample.
        layers: As given.
        like: A parameter, for type and device.
        forward: ``forward(model, x)``, or None for ``model(x)``.
        short: The same, ended behind the last layer.
        most: Bytes that the graph of one input may take; None for no limit.
    """

    model: nn.Module
    first: Tensor
    layers: list
    position: Position
    time_steps: int
    input_time: str
    axes: object
    like: Tensor
    forward: Optional[Callable]
    short: Optional[Callable]
    most: Optional[int]
    in_front_of_norms: bool
    signed: bool

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the inputs."""
        return tuple(self.first.shape[-2:])

    def chosen(self, x: Tensor, forward: Optional[Callable], graph: dict) -> list[Layer]:
        """Return the layers that were asked for; fill `graph` (see `probe`).

        Raises:
            ValueError: If a layer cannot be analysed.
        """
        usable, reasons = probe(self.model, x, self.size, self.time_steps, self.axes, forward, graph)
        chosen = select(self.model, self.layers, usable, reasons)
        if self.in_front_of_norms:
            chosen = list({c.name: c for c in (in_front(layer, usable) for layer in chosen)}.values())
        return chosen

    def places(self, layers: Sequence[Layer]) -> tuple[list, list]:
        """Return the cells of layers and the input pixels that are analysed."""
        found = [locate_in(self.position, self.size, layer.grid, layer.window) for layer in layers]
        return [cell for cell, _ in found], [pixel for _, pixel in found]


@dataclass
class Plan:
    """What is run for every batch.

    Attributes:
        task: What was asked for.
        layers: To analyse, with their grids in what is run.
        cells: Of them, in what is run.
        asked: The same layers and cells in the whole input.
        pixels: (row, column) of each in the input.
        fields: The theoretical field of each; None where it is not known.
        blocked: Zero gains in front of each.
        need: Bytes that one input takes.
        box: The part of the inputs that is run; None for all.
        x, captured: Input and gradient edges of the first sample, if it has been run.
        notes: What a reader has to know.
    """

    task: Task
    layers: list[Layer]
    cells: list[tuple[int, int]]
    asked: list[tuple[Layer, tuple[int, int]]]
    pixels: list[tuple[int, int]]
    fields: list[Optional[Field]]
    blocked: list[list[str]]
    need: int
    box: Optional[Box] = None
    x: Optional[Tensor] = None
    captured: Optional[list] = None
    notes: tuple[str, ...] = ()

    def run(self, batch: list[Tensor]) -> tuple[Tensor, list[list[tuple]]]:
        """Return the input and the gradient edges (see `capture`) of a batch; those of the first are handed over."""
        x, captured, self.x, self.captured = self.x, self.captured, None, None
        if captured is None:
            task = self.task
            x = pack([cut(sample, self.box) for sample in batch], task.input_time, task.like)
            captured = capture(task.model, x, self.layers, task.time_steps, task.forward, task.signed)
        return x, captured

    def spread(self, maps: np.ndarray) -> np.ndarray:
        """Put maps (N, D, h, w) of what is run into those of the whole input, zero elsewhere."""
        if self.box is None:
            return maps
        top, left, bottom, right = self.box
        out = np.zeros((*maps.shape[:2], *self.task.size), maps.dtype)
        out[..., top:bottom, left:right] = maps
        return out


def cut(sample: Tensor, box: Optional[Box]) -> Tensor:
    """Return a part of a sample (..., H, W); all of it for None."""
    if box is None:
        return sample
    top, left, bottom, right = box
    return sample[..., top:bottom, left:right]


def whole_plan(task: Task, notes: tuple[str, ...] = ()) -> Plan:
    """Run the first sample and read the layers; its pass serves for its gradients, too.

    Raises:
        ValueError: If a layer cannot be analysed.
        TooLarge: If the graph takes more than the limit.
    """
    x, graph = pack([task.first], task.input_time, task.like), {}
    try:
        with Meter(task.model, task.most) as meter, contiguous_gradients(task.model), zero_gains(task.model) as gains:
            try:
                layers = task.chosen(x, task.short, graph)
            except ValueError:
                if task.short is task.forward:
                    raise
                graph.clear()
                meter.reset()
                layers = task.chosen(x, task.forward, graph)  # its message lists all layers
    except TooLarge:
        graph.clear()
        raise
    cells, pixels = task.places(layers)
    lineage = Lineage(x)
    # the probe was the forward pass of the first input, up to the positive part
    captured = [graph[c.name][: calls(c, task.time_steps)] for c in layers]
    edges = [[edge for edge, _ in made] for made in captured]
    return Plan(
        task, layers, cells, list(zip(layers, cells)), pixels,
        [field_of(lineage, e, cell) for e, cell in zip(edges, cells)], [gains.upstream(e) for e in edges], meter.need,
        x=x, captured=None if task.signed else captured, notes=notes,
    )  # fmt: skip


def run_sample(task: Task, sample: Tensor) -> None:
    """Run one sample, keeping its graph while it runs."""
    run(task.model, pack([sample], task.input_time, task.like), task.forward)
