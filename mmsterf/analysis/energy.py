"""Operations and energy, counted on a running model.

A synaptic operation (AC) is one addition that one spike causes at one synapse. A multiplication by zero padding is
none, and a spike at the border of a map reaches fewer synapses: both are counted as they are. An analog operand costs
one multiply-accumulate (MAC) per synapse. Norms, biases, neurons and memory are not counted, as in the field.
Constants: Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014: 32-bit floating point in
45 nm, 3.7 pJ a multiplication, 0.9 pJ an addition.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mmsterf.snn.operations import KINDS, Operand, Operation, OperationMode


class Cost(NamedTuple):
    """Energy of one operation in pJ."""

    mac: float = 4.6
    ac: float = 0.9


@dataclass
class LayerCost:
    """What one layer, or one product of activations, did in all calls so far; over all images and time steps.

    Attributes:
        name: Of the module; products of activations are ``NAME.product1`` and so on.
        kind: 'convolution', 'linear', 'matmul' or 'gate'.
        inputs: 'binary', 'integer' or 'analog', one for each factor.
        params: Its own parameters.
        ann_macs: MACs of the equal ANN, which does in one pass what this layer does over T steps.
        macs: MACs it did because its operands are analog.
        acs: Synaptic operations.
        spikes, slots: Spikes it read, and how many there could have been.
    """

    name: str
    kind: str
    inputs: tuple
    params: int = 0
    ann_macs: float = 0.0
    macs: float = 0.0
    acs: float = 0.0
    spikes: float = 0.0
    slots: float = 0.0

    @property
    def rate(self) -> float:
        """Firing rate of its input, 0 to 1; NaN if that is analog."""
        return self.spikes / self.slots if self.slots else math.nan

    def energy(self, cost: Cost) -> float:
        """Energy in pJ."""
        return self.macs * cost.mac + self.acs * cost.ac

    def ann_energy(self, cost: Cost) -> float:
        """Energy of the equal ANN in pJ."""
        return self.ann_macs * cost.mac


def _without_groups(operation: Operation) -> tuple:
    """Further arguments of a convolution, for one group."""
    stride_padding_and_so_on, after = operation.rest[:3], operation.rest[4:]
    groups = (1,) * len(operation.rest[3:4])
    return (*stride_padding_and_so_on, *groups, *after), {k: v for k, v in operation.kwargs.items() if k != 'groups'}


class OperationCounter(OperationMode):
    """Context that counts the operations of a model, over all calls within. Outputs are as ever.

    Args:
        model (nn.Module): Any model. One with binary or integer neurons of `mmsterf.snn` does ACs behind them; one
            without does MACs alone.

    Attributes:
        layers (dict[str, LayerCost]): By name, in the order they first ran.

    Example:
        >>> model = SpikeLinear(3, 5, bias=False)  # counts 1, 2 and 0: 3 spikes, each to 5 synapses
        >>> with OperationCounter(model) as counter:
        ...     y = model(torch.tensor([[1.0, 2.0, 0.0]]))
        >>> [(layer.acs, layer.ann_macs, layer.rate) for layer in counter.layers.values()]
        [(15.0, 15.0, 0.25)]
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.layers: dict = {}
        self._taps: dict = {}
        self._params = {n: sum(p.numel() for p in m.parameters(recurse=False)) for n, m in model.named_modules()}

    def operate(self, operation: Operation) -> Tensor:
        out = operation.run()
        name, kinds = operation.name, tuple(o.kind for o in operation.operands)
        layer = self.layers.get(name)
        if layer is None:
            layer = self.layers[name] = LayerCost(name, operation.kind, kinds, self._params.get(name, 0))
        layer.inputs = tuple(max(pair, key=KINDS.index) for pair in zip(layer.inputs, kinds))
        macs = self._synapses(operation, [_ones(o.value) for o in operation.operands], out)
        layer.ann_macs += macs / operation.time_steps
        firing = [o for o in operation.operands if o.fires]
        if firing:
            weights = [o.counts.double() if o.fires else _ones(o.value) for o in operation.operands]
            layer.acs += self._synapses(operation, weights, out)
            layer.spikes += sum(float(o.counts.sum(dtype=torch.float64)) for o in firing)
            layer.slots += sum(_size(o) for o in firing)
        else:
            layer.macs += macs
        return out

    def _synapses(self, operation: Operation, counts: list, out: Tensor) -> float:
        """Sum over all synapses of the product of what arrives there; of ones, the number of synapses."""
        if operation.kind == 'linear':
            return float(counts[0].sum()) * operation.weight.shape[0]
        if operation.kind == 'gate':
            return float((counts[0] * counts[1]).sum())
        if operation.kind == 'matmul':
            a, b = counts
            if a.dim() < 2 or b.dim() < 2:
                raise NotImplementedError(f'{operation.name} multiplies a vector: shapes {a.shape} and {b.shape}')
            return float((a.sum(-2) * b.sum(-1)).sum())
        reach = self._reach(operation)
        if 'transpose' in operation.func.__name__:
            fan_out = operation.weight.shape[1]
        else:
            groups = counts[0].shape[-1 - reach.dim()] // operation.weight.shape[1]
            fan_out = operation.weight.shape[0] // groups
        per_pixel = counts[0].flatten(0, -1 - reach.dim()).sum(0)
        return float((per_pixel * reach).sum()) * fan_out

    def _reach(self, operation: Operation) -> Tensor:
        """How many taps of a convolution's kernel each pixel meets."""
        x, weight = operation.operands[0].value, operation.weight
        size, kernel = x.shape[2 - weight.dim() :], weight.shape[2:]
        rest, kwargs = _without_groups(operation)
        key = (operation.func, size, kernel, str(rest), str(kwargs))
        if key not in self._taps:
            # It is the gradient of the sum of all outputs with respect to the pixel, where all weights are 1.
            with torch.inference_mode(False), torch.enable_grad():
                pixels = torch.zeros(1, 1, *size, dtype=torch.float64, requires_grad=True)
                ones = torch.ones(1, 1, *kernel, dtype=torch.float64)
                total = operation.func(pixels, ones, None, *rest, **kwargs).sum()
                self._taps[key] = torch.autograd.grad(total, pixels)[0][0, 0]
        return self._taps[key].to(x.device)


def _ones(x: Tensor) -> Tensor:
    """Ones like `x` that take no memory."""
    return torch.ones((), dtype=torch.float64, device=x.device).expand(x.shape)


def _size(operand: Operand) -> int:
    return operand.value.numel() * operand.spikes.slots


def totals(layers: dict, name: str = 'total') -> LayerCost:
    """Sum of all layers; its rate is over all slots of all of them."""
    total = LayerCost(name, '', ())
    for layer in layers.values():
        for key in ('params', 'ann_macs', 'macs', 'acs', 'spikes', 'slots'):
            setattr(total, key, getattr(total, key) + getattr(layer, key))
    return total
