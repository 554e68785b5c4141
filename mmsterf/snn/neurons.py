"""Spiking neurons: folded maps in, folded spikes out, state reset inside every call."""

from typing import Optional, Union

import torch
from spikingjelly.activation_based import neuron as sj_neuron
from spikingjelly.activation_based import surrogate
from torch import Tensor, nn

from .time import fold, unfold


class _Count(torch.autograd.Function):
    """``round(clip(x, 0, high)) * gain`` with gradient `gain_grad` where 0 <= x <= high.

    Keeps one boolean per element instead of the input, and nothing at all in inference.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, high: int, gain: float) -> Tensor:
        y = x.clamp(0, high).round_()
        return y if gain == 1 else y.mul_(gain)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        x, high, gain = inputs
        if ctx.needs_input_grad[0]:
            ctx.gain = gain
            ctx.save_for_backward((x >= 0).logical_and_(x <= high))

    @staticmethod
    def backward(ctx, grad: Tensor):
        (inside,) = ctx.saved_tensors
        # The mask comes first, so that the product takes its layout: torch's CPU batch norm misreads gradients of a
        # single image that come with the strides of a transposed view.
        grad = inside * grad
        return (grad if ctx.gain == 1 else grad * ctx.gain), None, None


class ILIF(nn.Module):
    """Integer leaky integrate-and-fire neuron (I-LIF).

    One step fires the count ``round(clip(v, 0, D))`` (half to even), by the straight-through gradient 1 where
    ``0 <= v <= D`` and 0 elsewhere; the fired charge is subtracted from v. With one time step v is the input itself.
    Source: Luo et al., "Integer-Valued Training and Spike-Driven Inference Spiking Neural Network", ECCV 2024;
    normalised by D in the Meta-SDT v3 backbone.

    Args:
        max_count (int): Largest count D.
        normalize (bool): Divide counts (and gradients) by D, as backbones do. Necks and heads use the counts.
        time_steps (int): Number of time steps T folded into the batch.
        tau (float): Membrane time constant in steps; matters for T > 1 alone.
        eval_max_count (int, optional): Largest count in evaluation mode. The published detector's neck clips at 1
            there although it was trained with 4; only its weights need that.

    Shape:
        (T*N, ...) to (T*N, ...), time-major.

    Raises:
        ValueError: If a count or `time_steps` is not a positive integer.

    Example:
        >>> ILIF(normalize=False)(torch.tensor([-1.0, 0.4, 0.6, 2.5, 9.0]))
        tensor([0., 0., 1., 2., 4.])
    """

    def __init__(
        self,
        max_count: int = 4,
        normalize: bool = True,
        time_steps: int = 1,
        tau: float = 4 / 3,
        eval_max_count: Optional[int] = None,
    ) -> None:
        super().__init__()
        counts = {'max_count': max_count, 'time_steps': time_steps}
        if eval_max_count is not None:
            counts['eval_max_count'] = eval_max_count
        for name, value in counts.items():
            if not isinstance(value, int) or value < 1:
                raise ValueError(f'{name} of ILIF must be a positive integer, got {value!r}')
        self.max_count = max_count
        self.normalize = normalize
        self.time_steps = time_steps
        self.eval_max_count = eval_max_count
        self.node = None
        if time_steps > 1:
            count = surrogate.MultiLevelSpikeCount(max_count)
            self.node = sj_neuron.ILIFNode(tau=tau, surrogate_function=count, step_mode='m')

    def forward(self, x: Tensor) -> Tensor:
        gain = 1 / self.max_count if self.normalize else 1
        high = self.max_count if self.training or self.eval_max_count is None else self.eval_max_count
        if self.node is None:
            return _Count.apply(x, high, gain)
        try:
            return fold(self.node(unfold(x, self.time_steps))).clamp(max=high) * gain
        finally:
            self.node.reset()

    def extra_repr(self) -> str:
        return f'max_count={self.max_count}, normalize={self.normalize}, time_steps={self.time_steps}'


NEURONS = {'ILIF': ILIF}
"""Neurons by the name that configs use; add yours here to make it a valid `neuron=dict(type=...)`."""


def build_neuron(neuron: Union[dict, nn.Module, None] = None, **defaults) -> nn.Module:
    """Turn a neuron config into a neuron; modules pass through.

    Args:
        neuron (dict | nn.Module, optional): ``dict(type='ILIF', ...)``, the type a key of `NEURONS` with or without
            the scope ``mmsterf.``, or a class. None means an I-LIF neuron.
        **defaults: Arguments that the config may override.

    Raises:
        KeyError: If the type is unknown; the message lists the choices.
    """
    if isinstance(neuron, nn.Module):
        return neuron
    cfg = {'type': 'ILIF', **defaults, **(neuron or {})}
    kind = cfg.pop('type')
    if isinstance(kind, str):
        name = kind.rpartition('.')[2]
        if name not in NEURONS:
            raise KeyError(f'unknown neuron type {kind!r}; choose from {", ".join(sorted(NEURONS))}')
        kind = NEURONS[name]
    return kind(**cfg)
