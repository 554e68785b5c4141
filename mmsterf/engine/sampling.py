"""Random numbers of training as a function of (seed, process, iteration), so that a resumed run repeats them.

mmengine seeds processes and data workers once; what they draw later depends on everything before it, on the number
of workers, and on whether workers persist. Here every batch and every iteration start from a seed of their own.
"""

import random
from collections.abc import Iterator
from typing import Optional

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler, Sampler


def seed_everything(*entropy: int) -> None:
    """Seed python, numpy and torch (all devices) with a mix of non-negative numbers."""
    # numpy ignores trailing zeros, so the length counts too.
    state = np.random.SeedSequence([len(entropy), *entropy]).generate_state(3)
    random.seed(int(state[0]))
    np.random.seed(state[1])
    torch.manual_seed(int(state[2]))


class NumberedBatchSampler:
    """Wrap a batch sampler so that the random augmentations of each batch depend on its number alone.

    It teaches the data set (`sampler.dataset`) to seed itself before it loads a batch, in whatever process that is.

    Args:
        sampler (Sampler): Sampler with a `dataset`, as those of mmengine and mmdet are.
        batch_size (int): Samples per batch.
        drop_last (bool): Drop an incomplete last batch; of use without `batch_sampler`.
        batch_sampler (dict, optional): Config of the batch sampler to wrap. Defaults to torch's BatchSampler.
    """

    def __init__(
        self, sampler: Sampler, batch_size: int, drop_last: bool = False, batch_sampler: Optional[dict] = None
    ) -> None:
        self.sampler = sampler  # where mmengine looks for `set_epoch`
        self.batch_size = batch_size
        if batch_sampler is None:
            self.batches = BatchSampler(sampler, batch_size, drop_last)
        else:
            self.batches = DATA_SAMPLERS.build(
                batch_sampler, default_args={'sampler': sampler, 'batch_size': batch_size}
            )
        # How many batches come empty: mmengine advances a resumed iteration-based loop by loading what it had.
        self.first = 0
        # How many batches of the first epoch do not come at all: mmengine begins a resumed epoch anew.
        self.skip = 0
        self._count = 0
        sampler.dataset.__getitems__ = _SeededFetch(sampler.dataset)

    def __iter__(self) -> Iterator[list]:
        seed, epoch = getattr(self.sampler, 'seed', 0), getattr(self.sampler, 'epoch', 0)
        skip, self.skip = self.skip, 0
        for number, indices in enumerate(self.batches):
            self._count += 1
            if number < skip:
                continue
            skipped = self._count <= self.first
            yield _SeededBatch(indices, None if skipped else (seed, get_rank(), epoch, number))

    def __len__(self) -> int:
        return len(self.batches)


class _SeededBatch(list):
    """Indices of a batch with the seed to load it by, or None if it is to be skipped."""

    def __init__(self, indices, entropy: Optional[tuple]) -> None:
        super().__init__(indices)
        self.entropy = entropy


class _SeededFetch:
    """`dataset.__getitems__`, which torch's data loaders call with all indices of a batch."""

    def __init__(self, dataset) -> None:
        self.dataset = dataset
        self.original = getattr(dataset, '__getitems__', None)

    def __call__(self, batch: list) -> list:
        if isinstance(batch, _SeededBatch):
            if batch.entropy is None:
                return [None]
            seed_everything(*batch.entropy)
        if self.original is not None:
            return self.original(batch)
        return [self.dataset[index] for index in batch]
