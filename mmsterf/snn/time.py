"""The time axis: folded into the batch, time-major, everywhere but inside neurons."""

from torch import Tensor


def fold(x: Tensor) -> Tensor:
    """Fold time into the batch: (T, N, ...) to (T*N, ...)."""
    return x.flatten(0, 1)


def unfold(x: Tensor, time_steps: int) -> Tensor:
    """Unfold time from the batch: (T*N, ...) to (T, N, ...).

    Raises:
        ValueError: If the first axis is not a multiple of `time_steps`.
    """
    if x.shape[0] % time_steps:
        raise ValueError(
            f'a folded map has T*N entries, time-major: got {x.shape[0]}, not a multiple of time_steps={time_steps}'
        )
    return x.unflatten(0, (time_steps, x.shape[0] // time_steps))


def rate(x: Tensor, time_steps: int) -> Tensor:
    """Mean over time of a folded map: (T*N, ...) to (N, ...)."""
    return x if time_steps == 1 else unfold(x, time_steps).mean(0)
