"""What `st_erf` takes: arrays, data sets and DataLoaders, with labels or without.

The gradient of y = x^2 is 2 x: an input of k everywhere has 2 k at the position, and the mean over inputs tells which
were seen.
"""

import numpy as np
import PIL.Image
import pytest
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset, SequentialSampler, TensorDataset

from mmsterf.erf import calibrated, firing_rates, st_erf

LEVELS = [1, 2, 3, 4, 10]
IMAGES = np.stack([np.full((1, 4, 6), k, np.float32) for k in LEVELS])


class Square(nn.Module):
    def forward(self, x):
        return x**2


class Pairs(Dataset):
    """A data set as users write them: a length and items, no end of its own."""

    def __init__(self, make=lambda image: (image, 'label')):
        self.make, self.seen = make, 0

    def __len__(self):
        return len(LEVELS)

    def __getitem__(self, i):
        self.seen += 1
        return self.make(IMAGES[i % len(LEVELS)])


class Stream(IterableDataset):
    def __iter__(self):
        return iter([(image, i) for i, image in enumerate(IMAGES)])


def levels_in(inputs, **how):
    result = st_erf(Square(), inputs, '.', **how)['.']
    assert np.count_nonzero(result.mean) == 1
    return result.mean.max() / 2 * result.num, result.num


INPUTS = {
    'array': lambda: IMAGES,
    'array of float64': lambda: IMAGES.astype('f8'),
    'array of bytes': lambda: IMAGES.astype('u1'),
    'array of 16 bits': lambda: IMAGES.astype('u2'),
    'array seen from behind': lambda: np.ascontiguousarray(IMAGES[::-1])[::-1],
    'tensor': lambda: torch.from_numpy(IMAGES),
    'list of arrays': lambda: list(IMAGES),
    'generator of pairs': lambda: ((image, 0) for image in IMAGES),
    'data set': lambda: Pairs(),
    'data set without labels': lambda: Pairs(torch.from_numpy),
    'data set of dicts': lambda: Pairs(lambda image: {'label': 3, 'pixel_values': image}),
    'TensorDataset': lambda: TensorDataset(torch.from_numpy(IMAGES), torch.arange(5)),
    'stream': lambda: Stream(),
    'loader': lambda: DataLoader(Pairs(lambda image: (image, 0)), batch_size=2),
    'loader of dicts': lambda: DataLoader(Pairs(lambda image: {'image': image, 'label': 0}), batch_size=3),
    'loader of images': lambda: DataLoader(torch.from_numpy(IMAGES), batch_size=5),
    'loader without batches': lambda: DataLoader(Pairs(), batch_size=None),
    'loader with a batch sampler': lambda: DataLoader(
        TensorDataset(torch.from_numpy(IMAGES)), batch_sampler=BatchSampler(SequentialSampler(IMAGES), 2, False)
    ),
    'loader of a stream': lambda: DataLoader(Stream(), batch_size=2),
}


@pytest.mark.parametrize('name', INPUTS)
def test_every_kind_of_inputs(name):
    seen = []
    how = {'batch_size': 3, 'progress': lambda *done: seen.append(done)}
    assert levels_in(INPUTS[name](), **how) == (pytest.approx(20), 5)
    known = 0 if any(kind in name for kind in ('stream', 'generator', 'batch sampler')) else 5
    assert seen[-1] == (5, known)


def test_a_loader_that_drops_its_last_batch():
    seen = []
    loader = DataLoader(Pairs(lambda image: (image, 0)), batch_size=2, drop_last=True)
    assert levels_in(loader, progress=lambda *done: seen.append(done)) == (pytest.approx(10), 4)
    assert seen[-1] == (4, 4)


def test_each_item_is_read_once():
    data = Pairs()
    levels_in(data)
    assert data.seen == len(data)


def test_steps_in_arrays_and_loaders():
    class Second(nn.Module):
        def forward(self, x):
            return x[1] ** 2 + 0 * x[0]

    frames = np.stack([IMAGES * 0, IMAGES])  # (T, N, C, H, W)
    how = {'time_steps': 2, 'step': 'sum'}
    array = st_erf(Second(), frames, '.', **how)['.']
    clips = DataLoader(TensorDataset(torch.from_numpy(frames.swapaxes(0, 1).copy()), torch.arange(5)), batch_size=2)
    loader = st_erf(Second(), clips, '.', **how)['.']
    assert array.mean.max() == pytest.approx(2 * 4 / 2) and loader.num == 5
    np.testing.assert_array_equal(array.mean, loader.mean)
    folded = frames.reshape(-1, 1, 4, 6)
    with pytest.raises(ValueError, match='9 folded inputs are no multiple of time_steps=2'):
        st_erf(Square(), folded[:9], '.', time_steps=2, input_time='folded')


@pytest.mark.parametrize(
    ('inputs', 'said'),
    [
        (lambda: IMAGES[0], r'inputs have shape \(1, 4, 6\)'),
        (lambda: [(PIL.Image.new('L', (6, 4)), 0)], 'input 0 is a Image: images must be tensors or arrays of numbers'),
        (lambda: [{'picture': 1, 'label': 2}], 'input 0 is a dict without .* its keys are picture, label'),
        (lambda: np.array([['a']]), 'inputs is an array of <U1'),
        (lambda: 7, 'inputs must be a tensor, an array, or a data set, DataLoader .* got a int'),
        (lambda: IMAGES[:0], 'inputs are empty'),
        (lambda: [], 'inputs are empty'),
        (lambda: [IMAGES[0], IMAGES[0, :, :3]], r'input 1 has shape \(1, 3, 6\), the first one \(1, 4, 6\)'),
        (lambda: [IMAGES], r'is not a sample of'),
    ],
)
def test_what_is_no_input(inputs, said):
    with pytest.raises(ValueError, match=said):
        st_erf(Square(), inputs(), '.', input_time='image')


def test_calibration_and_rates_take_them_too():
    model = nn.Sequential(nn.BatchNorm2d(1))
    loader = DataLoader(Pairs(lambda image: (image, 0)), batch_size=2)
    assert calibrated(model, loader)[0].running_mean.item() == pytest.approx(np.mean(LEVELS))
    assert calibrated(model, IMAGES)[0].running_mean.item() == pytest.approx(np.mean(LEVELS))

    class Spike(nn.Module):
        def forward(self, x):
            return (x > 2).float()

    assert firing_rates(nn.Sequential(Spike()), (IMAGES[3], 'label'))['0'] == 1
