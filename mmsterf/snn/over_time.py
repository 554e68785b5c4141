"""What neurons share: running a node over folded time, and the ranges of their arguments."""

from torch import Tensor, nn

from mmsterf.ranges import check_count, check_number

from .time import fold, unfold


def run_over_time(node: nn.Module, x: Tensor, time_steps: int) -> Tensor:
    """Run a multi-step node on a folded map and forget its state, also after an error."""
    if not x.numel():  # no RoIs: spikingjelly refuses it
        return x.clone()
    try:
        return fold(node(unfold(x, time_steps)))
    finally:
        node.reset()


def check_positive(neuron: str, **counts) -> None:
    for name, value in counts.items():
        check_count(f'{name} of {neuron}', value)


def check_tau(neuron: str, tau: float) -> None:
    check_number(f'tau of {neuron}', tau, least=1)
