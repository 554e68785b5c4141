"""Firing rates of neurons."""

import torch
from torch import Tensor, nn

from mmsterf.snn import NEURONS
from mmsterf.snn.operations import spikes_of

DEAD, SATURATED = 0.0, 0.95
"""Rate of a dead layer, and least rate of a saturated one: neither tells one input from another."""


def state_of(rate: float) -> str:
    """Return 'dead', 'saturated' or '' for a firing rate."""
    return 'dead' if rate <= DEAD else 'saturated' if rate >= SATURATED else ''


class FiringRates:
    """Context that measures the firing rate of every neuron layer of a model, over all calls within.

    The rate is the share of slots that hold a spike: an I-LIF neuron has D slots in each time step, others one. It
    costs one sum per neuron layer, and leaves the model as it was.

    Args:
        model (nn.Module): Any model with neurons of `mmsterf.snn.NEURONS`.

    Example:
        >>> model = ILIF(max_count=4, normalize=False)
        >>> with FiringRates(model) as rates:
        ...     y = model(torch.tensor([0.0, 1.0, 2.0, 9.0]))
        >>> rates.mean()  # (0 + 1 + 2 + 4) / 16
        0.4375
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._sums: dict = {}
        self._slots: dict = {}
        self._handles: list = []

    def __enter__(self):
        for name, module in self.model.named_modules():
            if isinstance(module, tuple(NEURONS.values())):
                hook = lambda neuron, _, output, name=name: self._add(name, neuron, output)  # noqa: E731
                self._handles.append(module.register_forward_hook(hook))
        return self

    def __exit__(self, *_) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _add(self, name: str, neuron: nn.Module, output: Tensor) -> None:
        gain, slots, _ = spikes_of(neuron)
        # The sum stays on its device: reading it here would make a GPU wait.
        total = output.detach().sum(dtype=torch.float64) / gain
        self._sums[name] = self._sums.get(name, 0) + total
        self._slots[name] = self._slots.get(name, 0) + slots * output.numel()

    def rates(self) -> dict[str, float]:
        """Firing rate, 0 to 1, by name of the neuron, in the order they first ran."""
        return {name: float(total) / max(self._slots[name], 1) for name, total in self._sums.items()}

    def mean(self) -> float:
        """Firing rate over all slots of all neurons; 0 without any."""
        return sum(map(float, self._sums.values())) / max(sum(self._slots.values()), 1)
