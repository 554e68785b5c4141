"""Spike-driven inference: integer counts become binary slots wherever something is multiplied.

A count c of at most D is D slots, of which the first c hold a spike. Convolutions and linear layers are linear, so the
sum of what they make of each slot is what they make of the count, and a slot only selects weights to add. The constant
of a normalised neuron (1 / D) goes into the weights; a bias is added once, behind the sum. Attention multiplies counts
by counts: k and v are both expanded, k^T v is the sum over all pairs of slots, in which a spike of k lets one of v
through, and q, expanded as well, selects which of these sums to add. Nothing is multiplied but weights by constants.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from spikingjelly.activation_based.layer import SpikeCountToBinary
from torch import Tensor, nn

from .operations import KINDS, Operand, Operation, OperationMode


class _InputMode(OperationMode):
    """Notes what every operation reads, and, with `expand`, makes it read binary slots."""

    def __init__(self, model: nn.Module, expand: bool) -> None:
        super().__init__(model)
        self.expand = expand
        self.inputs: dict = {}

    def operate(self, operation: Operation) -> Tensor:
        expanded = self.expand and any(o.fires and o.spikes.slots > 1 for o in operation.operands)
        kinds = tuple('binary' if self.expand and o.fires else o.kind for o in operation.operands)
        before = self.inputs.get(operation.name, kinds)
        self.inputs[operation.name] = tuple(max(pair, key=KINDS.index) for pair in zip(before, kinds))
        return _expanded(operation) if expanded else operation.run()


@contextmanager
def spike_driven(model: nn.Module) -> Iterator[dict]:
    """Context in which a model computes with binary spikes alone: counts are expanded into slots.

    Outputs are those outside up to rounding. Models of binary neurons (LIF) compute as ever. The model is left as
    found.

    Args:
        model (nn.Module): Any model with neurons of `mmsterf.snn`. Fold it first (`fold_norms`) if it has
            re-parameterised convolutions, which read analog maps otherwise.

    Yields:
        dict[str, tuple[str, ...]]: What each weight layer, and each product of activations (``NAME.product1``), has
        read so far: 'binary', 'integer' or 'analog', one for each factor. A product of which one factor is binary
        needs additions only.

    Example:
        >>> model = nn.Sequential(SpikeLinear(8, 8), SpikeLinear(8, 2))
        >>> with spike_driven(model) as inputs:
        ...     y = model(torch.rand(1, 8))
        >>> inputs
        {'0': ('binary',), '1': ('binary',)}
    """
    with _InputMode(model, expand=True) as mode:
        yield mode.inputs


@contextmanager
def watch_inputs(model: nn.Module) -> Iterator[dict]:
    """As `spike_driven`, but the model computes as ever: says what its layers read without expansion."""
    with _InputMode(model, expand=False) as mode:
        yield mode.inputs


def is_spike_driven(inputs: tuple) -> bool:
    """Whether an operation on such inputs needs no multiplication: one of its factors is binary."""
    return 'binary' in inputs


def _slots(operand: Operand) -> Tensor:
    """Binary slots of an operand that fires, (slots, ...); others as one slot."""
    if not operand.fires:
        return operand.value[None]
    return SpikeCountToBinary(operand.spikes.slots, always_convert=True)(operand.counts[None])


def _expanded(operation: Operation) -> Tensor:
    gain = 1.0
    for operand in operation.operands:
        gain *= operand.spikes.gain if operand.fires else 1
    slots = [_slots(operand) for operand in operation.operands]
    if operation.kind == 'gate':
        return sum((slots[0] * slot).sum(0) for slot in slots[1]) * gain
    if operation.kind == 'matmul':
        a, b = slots[0].movedim(0, -3), slots[1].movedim(0, -2)
        pairs = operation.func(a.flatten(-3, -2), b.flatten(-2))  # all pairs of slots at once
        pairs = pairs.unflatten(-2, a.shape[-3:-1]).unflatten(-1, b.shape[-2:])
        return pairs.sum((-4, -2)) * gain
    return _expanded_layer(operation, slots[0], gain)


def _expanded_layer(operation: Operation, slots: Tensor, gain: float) -> Tensor:
    weight, bias, lead = operation.weight, operation.bias, slots.shape[1:2]
    convolution = operation.kind == 'convolution'
    if convolution and slots.dim() == weight.dim():  # of one image without a batch: slots are the batch
        lead = ()
    x = slots.flatten(0, 1) if convolution and lead else slots
    y = operation.func(x, weight * gain, None, *operation.rest, **operation.kwargs)
    if convolution and lead:
        y = y.unflatten(0, (len(slots), *lead))
    y = y.sum(0)  # spikingjelly's TemporalBinSum fails where there are no RoIs
    if bias is None:
        return y
    return y + (bias.view(-1, *[1] * (weight.dim() - 2)) if convolution else bias)
