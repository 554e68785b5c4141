"""A module whose tensors go through another runtime."""

import time
from typing import Callable, Optional

import torch
from torch import Tensor, nn

from mmsterf.errors import InvalidInput

from .comparing import count_by_count, difference
from .parts import Network
from .runtimes import started

LARGEST_DIFFERENCE = 0.01
"""Of a network's outputs from PyTorch's, relative (Euclidean norms). Rounding alone gives 1e-6; what differs by more is
looked at count by count."""
TRIALS = 3
"""Times that each of several runtimes runs an example, until the fastest is chosen."""


class Compiled(nn.Module):
    """A function of a folded module, run by another runtime: takes and returns tensors as the function does.

    Runs the example in PyTorch and in the runtime, and compares.

    Args:
        model (nn.Module): In evaluation mode; not kept, 'nnpack' has a copy.
        backend (str): One of `mmsterf.deploy.BACKENDS`.
        example (Tensor): (N, C, H, W), or a sequence (T, N, C, H, W). Later inputs may have other numbers of images,
            heights and widths.
        precision (str): 'f32', or 'bf16' with OpenVINO.
        function (Callable, optional): ``function(model, x)``, to nested tuples of tensors; calls the model by default.
        free (str): Which axes of later inputs are free, see `export_program`.
        channels_last (bool): Whether maps (N, C, H, W) leave the runtime with the channels of a pixel side by side, as
            what comes behind reads them.

    Attributes:
        difference (float): Of the outputs for the example from PyTorch's, as `difference` has it.

    Raises:
        InvalidInput: If it cannot be exported, the runtime is absent, or differs by more than `LARGEST_DIFFERENCE` in
            'f32' where that does not follow from counts on an edge (`mmsterf.deploy.comparing`).
    """

    def __init__(
        self,
        model: nn.Module,
        backend: str,
        example: Tensor,
        precision: str = 'f32',
        function: Optional[Callable] = None,
        free: str = 'size',
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(example, Tensor) or example.dim() not in (4, 5):
            raise InvalidInput(
                f'example must be a tensor (N, C, H, W) or (T, N, C, H, W), got {type(example).__name__}'
                + (f' {tuple(example.shape)}' if isinstance(example, Tensor) else '')
            )
        function = function or (lambda m, x: m(x))
        self._channels_last = channels_last
        written = (
            (lambda m, x: _each_map(lambda y: y.permute(0, 2, 3, 1), function(m, x))) if channels_last else function
        )
        network = Network(model, written, tuple(example.shape[-3:])).eval()
        example = example.detach().cpu().float()
        batch = example.dim() - 4
        if example.shape[batch] == 1 and backend != 'nnpack':  # an exported graph would be one of one image
            example = torch.cat([example, example], batch)
        with torch.no_grad():
            expected = function(model, example)
        self._structure = _structure(expected)
        self._run = started(network, example, backend, free, precision)
        self.difference = difference(self(example), expected)
        if precision == 'f32' and not self.difference <= LARGEST_DIFFERENCE:
            (counts,) = count_by_count(network, [example], backend, free)
            if not counts.explains(LARGEST_DIFFERENCE):
                raise InvalidInput(
                    f'{type(model).__name__} in {backend} differs from PyTorch by {self.difference:.2g}, more than '
                    f'{LARGEST_DIFFERENCE} ({counts})'
                )

    def __deepcopy__(self, memo: dict) -> 'Compiled':
        return self  # runtimes cannot be copied, and nothing changes one

    def forward(self, x: Tensor):
        arrays = self._run(x.detach().float().cpu().contiguous().numpy())
        found = _fill(self._structure, iter([torch.from_numpy(array).to(x) for array in arrays]))
        return _each_map(_channels_first, found) if self._channels_last else found


def fastest(runs: dict, example: Tensor) -> str:
    """Which of several `Compiled` takes an example in the least time here; of one alone, its name."""
    if len(runs) == 1:
        return next(iter(runs))
    least = dict.fromkeys(runs, float('inf'))
    with torch.inference_mode():
        for run in runs.values():
            run(example)
        for name, run in TRIALS * list(runs.items()):  # in turns: others may use the machine for a while
            start = time.perf_counter()
            run(example)
            least[name] = min(least[name], time.perf_counter() - start)
    return min(least, key=least.get)


def _each_map(change: Callable, value):
    """Change maps (four axes) in nested tuples and lists; other tensors stay as they are."""
    if isinstance(value, Tensor):
        return change(value) if value.dim() == 4 else value
    return type(value)(_each_map(change, item) for item in value)


def _channels_first(x: Tensor) -> Tensor:
    """(N, H, W, C) as (N, C, H, W); copied where PyTorch ran it, whose channels do not lie side by side yet."""
    return x.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def _structure(value):
    """Nested tuples and lists, None where a tensor was."""
    return None if isinstance(value, Tensor) else type(value)(_structure(item) for item in value)


def _fill(structure, tensors):
    return next(tensors) if structure is None else type(structure)(_fill(item, tensors) for item in structure)
