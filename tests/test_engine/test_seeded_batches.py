import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import BatchSampler, DataLoader, Dataset

from mmsterf.engine.sampling import NumberedBatchSampler, seed_everything


class Noise(Dataset):
    """Each sample is its index and what numpy and torch draw."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> tuple:
        return index, np.random.rand(), torch.rand(()).item()


def _loader(sampler_type=DefaultSampler, workers: int = 0, **kwargs) -> DataLoader:
    sampler = sampler_type(Noise(), shuffle=True, seed=5)
    batches = NumberedBatchSampler(sampler, batch_size=3, **kwargs)
    return DataLoader(
        sampler.dataset,
        batch_sampler=batches,
        num_workers=workers,
        persistent_workers=workers > 0,
        collate_fn=list,
    )


def _epoch(loader: DataLoader, epoch: int) -> list:
    loader.batch_sampler.sampler.set_epoch(epoch)
    return list(loader)


def test_augmentation_depends_on_epoch_and_batch_alone():
    loader = _loader()
    epochs = [_epoch(loader, epoch) for epoch in range(3)]
    drawn = [sample[1] for epoch in epochs for batch in epoch for sample in batch]
    assert len(set(drawn)) == 21
    # Another process, other workers, another history: a run resumed after the first epoch.
    torch.manual_seed(1)
    resumed = _loader(workers=2)
    assert [_epoch(resumed, epoch) for epoch in (1, 2)] == epochs[1:]


def test_batches_had_before_come_empty():
    whole = iter(_loader(InfiniteSampler))
    expected = [next(whole) for _ in range(8)]
    loader = _loader(InfiniteSampler, workers=1)
    iterator = iter(loader)  # the workers prefetch two batches before anybody can tell
    loader.batch_sampler.first = 6
    found = [next(iterator) for _ in range(8)]
    assert found[6:] == expected[6:]
    assert found[3:6] == [[None]] * 3


def test_wraps_a_batch_sampler():
    class Backwards(BatchSampler):
        def __iter__(self):
            return iter(list(super().__iter__())[::-1])

    DATA_SAMPLERS.register_module('Backwards', module=Backwards, force=True)
    plain, backwards = _loader(), _loader(batch_sampler={'type': 'Backwards', 'drop_last': True})
    indices = [[[sample[0] for sample in batch] for batch in loader] for loader in (plain, backwards)]
    assert indices[1] == indices[0][1::-1] and len(backwards) == 2 and len(plain) == 3
    assert len(_loader(drop_last=True)) == 2


def test_keeps_a_data_sets_own_way_to_load_batches():
    class Batched(Noise):
        def __getitems__(self, indices: list) -> list:
            return [(index, np.random.rand()) for index in indices]

    sampler = DefaultSampler(Batched(), seed=0)
    loader = DataLoader(sampler.dataset, batch_sampler=NumberedBatchSampler(sampler, batch_size=2), collate_fn=list)
    assert list(loader) == list(loader) and len(next(iter(loader))[0]) == 2


@pytest.mark.parametrize('other', [(0, 1), (1, 0), (0, 0, 0)])
def test_seeds_mix(other):
    seed_everything(0, 0)
    drawn = np.random.rand(), torch.rand(()).item()
    seed_everything(*other)
    assert (np.random.rand(), torch.rand(()).item()) != drawn
    seed_everything(0, 0)
    assert (np.random.rand(), torch.rand(()).item()) == drawn
