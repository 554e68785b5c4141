"""Exported networks compared count by count, where rounding alone decides some of them.

A neuron rounds. Of millions of sums some lie so close to an edge (x.5 of an I-LIF neuron, the threshold of others) that
the order of summation decides what fires; everything behind then differs by whole counts, in PyTorch's own float32 and
float64 alike. Outputs cannot tell that from a wrong graph. What each neuron fires can.
"""

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from mmsterf.snn import NEURONS, fold, unfold

from .parts import Network, distinct, flat
from .runtimes import started

EDGE = 1e-4
"""What rounding may move a neuron's input by; OpenVINO's moved some by 1.7e-5, sums of 2304 products."""
_SAME = 1e-3
"""Spikes closer than this are equal: the least is 1/8."""


@dataclass
class Agreement:
    """What a runtime's network and PyTorch's have in common.

    Args:
        difference (float): Of the outputs (`difference`), each neuron in PyTorch firing what the runtime's fired.
        counts (int): Spikes or counts compared.
        edges (int): Those that differ, at neurons whose input lies within `EDGE` of where they fire what the runtime's
            fired.
        wrong (int): Those that differ otherwise.
    """

    difference: float
    counts: int
    edges: int
    wrong: int

    def __str__(self) -> str:
        wrong = f', {self.wrong} differ otherwise' if self.wrong else ''
        return (
            f'{self.edges} of {self.counts} counts lie on an edge, where rounding decides{wrong}; with the same counts '
            f'the outputs differ by {self.difference:.2g}'
        )

    def explains(self, limit: float) -> bool:
        """Whether counts on an edge, and nothing else, make outputs differ by more than a limit."""
        return self.edges > 0 and not self.wrong and self.difference <= limit


class WithSpikes(nn.Module):
    """A network whose outputs come after what its neurons fire, in the order in which they do."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> tuple:
        found = []
        handles = [n.register_forward_hook(lambda _, __, y: found.append(y)) for n in neurons(self.network)]
        try:
            y = self.network(x)
            return distinct((*found, *y))
        finally:
            for handle in handles:
                handle.remove()


def neurons(network: nn.Module) -> list:
    """All its neurons, each once: a trace sees a shared one as several modules, whose hooks are the same."""
    found = (module for module in network.modules() if isinstance(module, tuple(NEURONS.values())))
    return list({id(module._forward_hooks): module for module in found}.values())


def difference(found, expected) -> float:
    """Largest relative difference (Euclidean norms) of tensors in nested tuples; of what is zero, the absolute one."""
    worst = 0.0
    for a, b in zip(flat(found), flat(expected)):
        norm = float(b.norm())
        worst = max(worst, float((a - b).norm()) / (norm if norm else 1.0))
    return worst


def count_by_count(network: Network, inputs: list, backend: str, dynamic: str = 'none') -> list:
    """Export a network with its spikes, run it, and compare it with PyTorch's neuron by neuron.

    Args:
        network (Network): In evaluation mode.
        inputs (list[Tensor]): The first is what it is exported with, see `export_program`.
        backend (str): One of `mmsterf.deploy.BACKENDS`.
        dynamic (str): As `export_program`.

    Returns:
        list[Agreement]: Of each input.

    Raises:
        InvalidInput: If it cannot be exported.
    """
    run = started(WithSpikes(network).eval(), inputs[0], backend, dynamic)
    return [follow(network, x, [torch.from_numpy(value) for value in run(x.numpy())]) for x in inputs]


def follow(network: nn.Module, x: Tensor, found: list) -> Agreement:
    """Run a network whose neurons fire what a runtime's fired.

    Args:
        network (nn.Module): Gives a tuple of tensors.
        x (Tensor): Its input.
        found (list[Tensor]): What the runtime made of it, as `WithSpikes` has it.
    """
    total = Agreement(0.0, 0, 0, 0)
    found = list(found)

    def fire(neuron: nn.Module, inputs: tuple, fired: Tensor) -> Tensor:
        theirs = found.pop(0)
        total.counts += fired.numel()
        if (differs := (theirs - fired).abs() > _SAME).any():
            edges = _on_edges(neuron, inputs[0], theirs, differs)
            total.edges += int(edges.sum())
            total.wrong += len(edges) - int(edges.sum())
        return theirs

    handles = [neuron.register_forward_hook(fire) for neuron in neurons(network)]
    try:
        with torch.no_grad():
            y = network(x)
        total.difference = difference(found, y)
    finally:
        for handle in handles:
            handle.remove()
    return total


def _on_edges(neuron: nn.Module, x: Tensor, theirs: Tensor, differs: Tensor) -> Tensor:
    """For each element that differs at some step, whether a shift of its inputs by `EDGE` makes the neuron fire so."""
    steps = getattr(neuron, 'time_steps', 1)
    x, theirs, differs = (unfold(value, steps) for value in (x, theirs, differs))
    places = differs.any(0)
    x, theirs = x[:, places], theirs[:, places]
    found = torch.zeros(x.shape[1], dtype=torch.bool)
    for shifts in product((-EDGE, EDGE), repeat=steps):
        fired = neuron.forward(fold(x + x.new_tensor(shifts)[:, None]))  # not called: the hook is not to hear it
        found |= ((unfold(fired, steps) - theirs).abs() < _SAME).all(0)
    return found
