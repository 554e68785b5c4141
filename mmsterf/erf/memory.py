"""How much memory an analysis may take, and how much one input takes of it."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GIB = 2**30
TEMPORARY = 24
"""Times the largest saved tensor that both passes hold beside what is saved: gradients, columns of convolutions.

The most of what benchmarks/st_erf_memory.py measures (ResNet-50 15, ViT-S 13, U-Net 6, MetaSDT with MLPixer 24)."""
_CGROUP = Path('/sys/fs/cgroup')
_SHARES = (7 / 8, 3 / 4, 5 / 8, 1 / 2, 3 / 8, 1 / 4, 1 / 8)


def free_memory(device: torch.device) -> Optional[int]:
    """Return the free bytes of a device, of this process's share where it has one; None if that is not known.

    Shares are those of a control group and of `ulimit`.
    """
    if device.type == 'cuda':
        return (
            torch.cuda.mem_get_info(device)[0]
            + torch.cuda.memory_reserved(device)
            - torch.cuda.memory_allocated(device)
        )
    if device.type != 'cpu':
        return None
    try:
        lines = dict(line.split(':') for line in Path('/proc/meminfo').read_text().splitlines())
        free = int(lines['MemAvailable'].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        try:
            return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
        except (AttributeError, OSError, ValueError):
            return None
    for most, used in (
        ('memory.max', 'memory.current'),
        ('memory/memory.limit_in_bytes', 'memory/memory.usage_in_bytes'),
    ):
        try:
            free = min(free, int((_CGROUP / most).read_text()) - int((_CGROUP / used).read_text()))
        except (OSError, ValueError):
            continue
    return max(min([free, *_unused()]), 0)


def _unused() -> list[int]:
    """Bytes that this process may still take below the limits that `ulimit -v` and `ulimit -d` set."""
    try:
        import resource

        lines = dict(line.split(':', 1) for line in Path('/proc/self/status').read_text().splitlines())
        taken = {kind: int(lines[kind].split()[0]) * 1024 for kind in ('VmSize', 'VmData')}
    except (ImportError, OSError, KeyError, ValueError):
        return []
    limits = {kind: resource.getrlimit(limit)[0] for kind, limit in
              (('VmSize', resource.RLIMIT_AS), ('VmData', resource.RLIMIT_DATA))}  # fmt: skip
    return [limit - taken[kind] for kind, limit in limits.items() if limit != resource.RLIM_INFINITY]


def limits_of(memory: Optional[float], device: torch.device) -> tuple[Optional[int], Optional[int]]:
    """Return the bytes that batches may take, and those that a single input may take; None for no limit.

    With `memory` in GiB, both are that; by default they are half of what is free, and all of it.

    Raises:
        ValueError: If `memory` is no positive number.
    """
    if memory is None:
        free = free_memory(device)
        return (None, None) if free is None else (free // 2, free)
    if isinstance(memory, bool) or not isinstance(memory, (int, float)) or not 0 < memory < float('inf'):
        raise ValueError(f'memory must be a positive number of GiB, got {memory!r}')
    return int(memory * GIB), int(memory * GIB)


class TooLarge(BaseException):
    """A forward pass would save more than the limit (no `Exception`, which models may catch)."""


class Meter:
    """Add up what a forward pass saves for its backward pass, parameters and buffers left out.

    Args:
        model: The model.
        limit: Bytes from which on `TooLarge` ends the pass; None for no limit.
    """

    def __init__(self, model: nn.Module, limit: Optional[int]) -> None:
        self.limit = limit
        self.constant = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
        self.reset()

    def reset(self) -> None:
        """Start again: the pass was thrown away."""
        self.seen, self.held, self.largest = set(self.constant), 0, 0

    @property
    def need(self) -> int:
        """Bytes that the forward and backward pass of one input take."""
        return self.held + TEMPORARY * self.largest

    def _pack(self, tensor: Tensor):
        try:
            storage = tensor.untyped_storage()
            key, size = storage.data_ptr(), storage.nbytes()
        except (NotImplementedError, RuntimeError):  # sparse ones, wrappers
            key, size = id(tensor), tensor.element_size() * tensor.numel()
        if key not in self.seen:
            self.seen.add(key)
            self.held += size
            self.largest = max(self.largest, size)
            if self.limit is not None and self.need > self.limit:
                raise TooLarge
        version = None if tensor.is_inference() else tensor._version
        return tensor.detach(), version  # the tensor itself may hold the graph, and the graph would hold it

    @staticmethod
    def _unpack(packed) -> Tensor:
        tensor, version = packed
        if version is not None and tensor._version != version:  # torch looks for this itself only without hooks
            raise RuntimeError(
                'one of the variables needed for gradient computation has been modified by an inplace operation: '
                f'{tuple(tensor.shape)} is at version {tensor._version}, expected version {version}'
            )
        return tensor

    def __enter__(self) -> 'Meter':
        self.hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, self._unpack)
        self.hooks.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self.hooks.__exit__(*error)


def too_large(model: nn.Module, sample: Tensor, limit: int, asked: bool, run: Callable[[Tensor], object]) -> str:
    """Say that one input takes too much, and which size would do.

    Args:
        model: The model.
        sample: The input (..., H, W).
        limit: Bytes.
        asked: Whether the limit was asked for; else it is what is free.
        run: ``run(sample)`` is the forward pass.
    """
    height, width = sample.shape[-2:]
    fits = next((size for size in _smaller(height, width) if _fits(model, sample, size, limit, run)), None)
    advice = f'{fits[0]} x {fits[1]} fits' if fits else 'no smaller size was found to fit; shallower layers take less'
    reason = f'than the memory asked for, {_gib(limit)}' if asked else f'memory than is free, {_gib(limit)}'
    more = (
        ', or ask for more' if asked else ' (--memory takes the place of this estimate, which may be twice the truth)'
    )
    return f'one input of {height} x {width} takes more {reason}: {advice}{more}'


def _gib(size: int) -> str:
    return f'{size / GIB:.3g} GiB'


def resized(sample: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a sample (..., H, W) at another size, by its nearest pixels."""
    frames = sample.double().reshape(-1, *sample.shape[-3:])
    return F.interpolate(frames, size, mode='nearest').reshape(*sample.shape[:-2], *size).to(sample.dtype)


def _smaller(height: int, width: int) -> list[tuple[int, int]]:
    sizes = [tuple(max(int(n * share) // 32 * 32, 32) for n in (height, width)) for share in _SHARES]
    return [s for s in dict.fromkeys(sizes) if s[0] <= height and s[1] <= width and s != (height, width)]


def _fits(model, sample, size, limit, run) -> bool:
    try:
        with Meter(model, limit):
            run(resized(sample, size))
    except TooLarge:
        return False
    except Exception:  # a size that the model cannot take is no advice
        return False
    return True


def batch_within(limit: Optional[int], need: int, most: int) -> int:
    """Return how many inputs of `need` bytes to run at a time: `most`, fewer if they would take more than `limit`."""
    return most if limit is None else max(1, min(most, limit // max(need, 1)))
