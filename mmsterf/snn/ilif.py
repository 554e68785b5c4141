"""Integer leaky integrate-and-fire neuron."""

from typing import Optional

import torch
from spikingjelly.activation_based import neuron as sj_neuron
from spikingjelly.activation_based.surrogate import MultiLevelSpikeCount
from torch import Tensor, nn

from .count import count, traceable_count
from .over_time import check_positive, check_tau, run_over_time
from .time import unfold


class ILIF(nn.Module):
    """Integer leaky integrate-and-fire neuron (I-LIF).

    One step fires the count ``round(clip(v, 0, D))`` (half to even), by the straight-through gradient 1 where
    ``0 <= v <= D`` and 0 elsewhere; the fired charge is subtracted from v. With one time step v is the input itself.
    Source: Luo et al., "Integer-Valued Training and Spike-Driven Inference Spiking Neural Network", ECCV 2024;
    normalised by D in the Meta-SDT v3 backbone.

    Args:
        max_count (int): Largest count D.
        normalize (bool): Divide counts (and gradients) by `norm`, as backbones do. Necks and heads use the counts.
        time_steps (int): Number of time steps T folded into the batch.
        tau (float): Membrane time constant in steps, at least 1; matters for T > 1 alone.
        eval_max_count (int, optional): Largest count in evaluation mode. The published detector's neck clips at 1
            there although it was trained with 4; only its weights need that.
        norm (int, optional): Divisor of normalised counts, D by default. One published backbone counts to 8 in training
            and to 4 in evaluation, and divides by 4 in both.

    Shape:
        (T*N, ...) to (T*N, ...), time-major.

    Raises:
        ValueError: If a count, `norm` or `time_steps` is not a positive integer, or `tau` below 1.

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
        norm: Optional[int] = None,
    ) -> None:
        super().__init__()
        counts = {'max_count': max_count, 'time_steps': time_steps, 'eval_max_count': eval_max_count, 'norm': norm}
        check_positive('ILIF', **{name: value for name, value in counts.items() if value is not None})
        check_tau('ILIF', tau)
        self.max_count = max_count
        self.normalize = normalize
        self.time_steps = time_steps
        self.eval_max_count = eval_max_count
        self.norm = norm or max_count
        self.node = None
        if time_steps > 1 and tau > 1:  # at 1 nothing is carried over, and spikingjelly refuses it
            # On CUDA spikingjelly has kernels for it.
            surrogate = MultiLevelSpikeCount(max_count)
            self.node = sj_neuron.ILIFNode(tau=tau, surrogate_function=surrogate, step_mode='m')

    @property
    def gain(self) -> float:
        """What a count of one comes out as."""
        return 1 / self.norm if self.normalize else 1

    def forward(self, x: Tensor) -> Tensor:
        high = self.max_count if self.training or self.eval_max_count is None else self.eval_max_count
        if self.node is None:
            return count(x, high, self.gain)
        if torch.compiler.is_exporting():  # spikingjelly's operator is none of PyTorch's own
            return self._step_by_step(x).clamp(max=high) * self.gain
        return run_over_time(self.node, x, self.time_steps).clamp(max=high) * self.gain

    def _step_by_step(self, x: Tensor) -> Tensor:
        """What the node computes, of plain functions."""
        spikes, rest = [], 0.0
        for current in unfold(x, self.time_steps):
            v = (1.0 - 1.0 / self.node.tau) * rest + current
            spikes.append(traceable_count(v, self.max_count, 1))
            rest = v - spikes[-1]
        return torch.cat(spikes)

    def extra_repr(self) -> str:
        return f'max_count={self.max_count}, normalize={self.normalize}, time_steps={self.time_steps}'
