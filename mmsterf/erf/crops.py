"""Run only the part of the input that the layers' theoretical fields hold.

Where every op in front of the layers is local (`fields`), nothing outside the field of a cell has a part in its value
or its gradient: a crop that holds the field, and whose edges lie on the grids of all maps on the way, gives both. At
edges inside the image the crop has paddings where the image has pixels, but what reads them is no part of the field.

Where that holds is read from the graph of a pass on the meta device, which computes nothing. The crop's own graph must
then say the same, and the values of the cells must be those of a larger crop: that finds what the graph does not show.
"""

import logging
import math
from dataclasses import replace
from typing import Optional

import torch
from torch import Tensor, nn
from torch.func import functional_call

from .blocks import at
from .capture import calls, outputs, start_of
from .fields import Box, Field, field_of
from .gains import zero_gains
from .inputs import pack
from .layers import Layer
from .lineage import Lineage
from .memory import Meter, TooLarge
from .plan import Plan, Task, cut
from .state import same_randomness, untouched

LEAST = 2**16
"""Pixels of an input from which on a look for a crop pays."""
MOST = 0.7
"""A crop of more than this part of the input is no gain."""
SAME = 128
"""Differences of values in units of the last place, relative to the largest, that are rounding errors."""

_LOG = logging.getLogger('mmsterf.erf')


def cropped_plan(task: Task) -> tuple[Optional[Plan], tuple[str, ...]]:
    """Return a plan that runs a crop of the inputs, None if there is none; and what a reader has to know.

    Raises:
        TooLarge: If the graph of the crop takes more than the limit.
    """
    found = _on_meta(task) if math.prod(task.size) >= LEAST else None
    if found is None:
        return None, ()
    layers, cells, fields = found
    unit = tuple(math.lcm(*(f.unit[d] for f in fields)) for d in (0, 1))
    boxes = [f.aligned(task.size, unit) for f in fields]
    box = (*(min(b[d] for b in boxes) for d in (0, 1)), *(max(b[d] for b in boxes) for d in (2, 3)))
    if _area(box) > MOST * math.prod(task.size):
        return None, ()
    try:
        plan, values = _of(task, layers, cells, fields, box)
        difference = math.nan if plan is None else _difference(plan, values, _around(box, unit, task.size), fields)
    except TooLarge:
        raise
    except Exception as error:  # whatever a model says to a size it cannot take
        _LOG.debug('whole inputs are run: %s', error)
        return None, ()
    if plan is None:
        return None, ()
    if not difference <= SAME * torch.finfo(task.like.dtype).eps:
        return None, (
            'by its graph the model is local, but a crop of the input that holds the receptive fields gave other '
            f'values than a larger one (relative difference {difference:.1e}): whole inputs were analysed',
        )
    return plan, ()


def _area(box: Box) -> int:
    return (box[2] - box[0]) * (box[3] - box[1])


def _on_meta(task: Task) -> Optional[tuple[list[Layer], list, list[Field]]]:
    """Return layers, cells and fields, read from a pass of the whole first sample that computes nothing."""

    class Bound(nn.Module):
        def __init__(self, model):
            super().__init__()
            self.model = model

        def forward(self, x):
            return self.model(x) if task.short is None else task.short(self.model, x)

    graph = {}
    try:
        # what a model keeps of this pass is put back
        with untouched(task.model) as model, same_randomness():
            held = {f'model.{n}': t for part in (model.named_parameters, model.named_buffers) for n, t in part()}
            held = {n: t.detach().to('meta') for n, t in held.items()}
            x = pack([task.first.to('meta')], task.input_time, task.like.to('meta'))
            layers = task.chosen(x, lambda bare, x: functional_call(Bound(bare), held, (x,)), graph)
            cells, _ = task.places(layers)
            lineage = Lineage(x)
            edges = [[edge for edge, _ in graph[c.name][: calls(c, task.time_steps)]] for c in layers]
            fields = [field_of(lineage, e, cell) for e, cell in zip(edges, cells)]
    except Exception as error:  # ops without an implementation, data-dependent code, layers that are not there
        _LOG.debug('no pass on the meta device: %s', error)
        return None
    return (layers, cells, fields) if all(fields) and not any(c.window for c in layers) else None


def _of(task: Task, layers: list[Layer], cells: list, fields: list[Field], box: Box) -> tuple[Optional[Plan], list]:
    """Run the crop of the first sample; return the values of its cells, too. No plan if its graph says otherwise."""
    x = pack([cut(task.first, box)], task.input_time, task.like)
    where = _inside(layers, cells, fields, box)
    captured, values = [[] for _ in layers], []

    def take(k, y):
        captured[k].append(start_of(y))
        values.append(_value(y, *where[k], task.time_steps))

    with Meter(task.model, task.most) as meter, zero_gains(task.model) as gains:
        outputs(task.model, x, layers, task.time_steps, task.forward, take)
    edges = [[edge for edge, _ in made] for made in captured]
    lineage = Lineage(x)
    found = [field_of(lineage, e, cell) for e, (_, cell) in zip(edges, where)]
    origin = (*box[:2], *box[:2])
    for whole, part in zip(fields, found):
        expected = tuple(edge - start for edge, start in zip(whole.box, origin))
        if part is None or part[0] != expected or part[2:] != whole[2:]:
            return None, []
    _, pixels = task.places(layers)
    plan = Plan(
        task, [replace(layer, grid=f.grid) for layer, f in zip(layers, found)], [cell for _, cell in where],
        list(zip(layers, cells)), pixels, fields, [gains.upstream(e) for e in edges], meter.need, box, x,
        None if task.signed else captured,
    )  # fmt: skip
    return plan, values


def _inside(layers: list[Layer], cells: list, fields: list[Field], box: Box) -> list[tuple[Layer, tuple[int, int]]]:
    """Layers and cells in a crop."""
    found = []
    for layer, cell, field in zip(layers, cells, fields):
        sides = zip(box[:2], box[2:], field.stride)
        grid = tuple(math.ceil((end - start) / s) for start, end, s in sides)
        moved = tuple(int(c - start / s) for c, start, s in zip(cell, box[:2], field.stride))
        found.append((replace(layer, grid=grid), moved))
    return found


def _around(box: Box, unit: tuple[int, int], size: tuple[int, int]) -> Box:
    """A larger crop."""
    margins = [u * -(-max((b - a) // 8, 32) // u) for a, b, u in zip(box[:2], box[2:], unit)]
    low = (max(start - m, 0) for start, m in zip(box[:2], margins))
    high = (min(end + m, n) for end, m, n in zip(box[2:], margins, size))
    return *low, *high


def _difference(plan: Plan, values: list[Tensor], around: Box, fields: list[Field]) -> float:
    """Return the largest relative difference of the values of the cells to those that a larger crop gives.

    A spiking neuron may tip over for a rounding error: then the mirrored sample is asked, too.
    """
    inner, outer = (_inside(*zip(*plan.asked), fields, box) for box in (plan.box, around))
    differences = []
    for sample in (plan.task.first, plan.task.first.flip(-1)):
        small = _values(plan.task, cut(sample, plan.box), inner) if differences else values
        large = _values(plan.task, cut(sample, around), outer)
        pairs = [(a - b).abs().max() / b.abs().max() for a, b in zip(small, large) if b.any() or a.any()]
        differences.append(float(torch.stack(pairs).max()) if pairs else 0.0)
        if differences[-1] <= SAME * torch.finfo(plan.task.like.dtype).eps:
            break
    return min(differences)


def _values(task: Task, sample: Tensor, where: list) -> list[Tensor]:
    """Return the values of cells in one run without gradients."""
    found = []
    with torch.no_grad(), same_randomness():
        x = pack([sample], task.input_time, task.like).detach()
        layers = [layer for layer, _ in where]
        take = lambda k, y: found.append(_value(y, *where[k], task.time_steps))  # noqa: E731
        outputs(task.model, x, layers, task.time_steps, task.forward, take)
    return found


def _value(y: Tensor, layer: Layer, cell: tuple[int, int], time_steps: int) -> Tensor:
    """Return the values of all channels and steps of a cell."""
    if 'L' in layer.axes and y.shape[layer.axes.index('L') - len(layer.axes)] != math.prod(layer.grid):
        raise ValueError(f'{layer.name} has no grid of {layer.grid}')
    return at(y.detach(), layer.seed(y.detach(), cell, slice(None), time_steps).where).double().flatten().clone()
