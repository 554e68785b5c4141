"""Positive parts and the ratio as RepLKNet takes them, on kernels and maps with known values."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from mmsterf.erf import STERF, Noise, measure, replknet_ratio, st_erf

SHARES = (0.2, 0.3, 0.5, 0.99)


def result(a, channels=1):
    mean = np.asarray(a, float)[None]
    centre = tuple(n // 2 for n in mean.shape[1:])
    return STERF('.', mean, mean * 0, 1, centre, centre, centre, 1, 'last', signed=True, channels=channels)


@pytest.mark.parametrize('batch_size', [1, 3])
def test_positive_parts_of_a_kernel_whose_outputs_have_known_signs(batch_size):
    conv = nn.Conv2d(3, 2, 3, padding=1)
    with torch.no_grad():
        conv.bias.copy_(torch.tensor([1e3, -1e3]))  # the first output is positive, the second negative
    kernel = conv.weight.detach().double().numpy()
    model = nn.Sequential(conv, nn.ReLU(inplace=True))
    for signed, expected in ((False, np.abs(kernel.sum(0))), (True, np.maximum(kernel[0], 0))):
        found = st_erf(model, Noise(3, (3, 9, 9)), '0', signed=signed, batch_size=batch_size)['0']
        assert (found.signed, found.channels, measure(found)['signed']) == (signed, 3, signed)
        np.testing.assert_allclose(found.mean[0, 3:6, 3:6], expected.mean(0), rtol=1e-6)
        assert found.mean.sum() == pytest.approx(expected.mean(0).sum(), rel=1e-6)


def test_over_time_the_positive_part_of_each_step_counts():
    class Steps(nn.Module):
        """y[t] = x[t] - 3 x[t-1], and its negative in a second channel; every output is shifted up by 1000."""

        def forward(self, x):
            y = x - 3 * torch.cat([0 * x[:1], x[:-1]])
            return torch.cat([y, -y], 2) + torch.tensor([1e3, -1e3])[:, None, None]

    found = st_erf(Steps(), Noise(2, (3, 1, 5, 5)), '.', time_steps=3, signed=True)['.']
    np.testing.assert_allclose(found.mean[:, 2, 2], [1, 0, 0])  # the -3 of one step ago lowers the output


def test_samples_are_kept_if_asked_for():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh())
    found = st_erf(model, Noise(5, (3, 8, 8)), ['0', '1'], keep_samples=True, batch_size=2)
    assert found['1'].samples.shape == (5, 1, 8, 8)
    np.testing.assert_allclose(found['1'].samples.mean(0), found['1'].mean, rtol=1e-5)
    assert found['1'].samples.std(0).max() > 0
    assert st_erf(model, Noise(1, (3, 8, 8)), '1')['1'].samples is None


def test_ratio_of_maps_with_known_values():
    uniform = result(np.ones((21, 21)))
    # more than the share of 441 equal pixels, in a square that ends inside the image
    assert replknet_ratio(uniform, 0.2) == (11, (11 / 21) ** 2)
    assert replknet_ratio(uniform, 81 / 441 - 1e-9)[0] == 9
    assert replknet_ratio(uniform, 81 / 441)[0] == 11
    assert math.isnan(replknet_ratio(uniform, 0.99)[0])
    point = np.zeros((21, 31))
    point[10, 15] = 1
    assert replknet_ratio(result(point), 0.99) == (3, 9 / 21 / 31)
    assert math.isnan(replknet_ratio(result(np.zeros((9, 9))), 0.5)[1])
    with pytest.raises(ValueError, match='signed=True'):
        replknet_ratio(replace(uniform, signed=False), 0.5)


def test_ratio_is_that_of_squares_summed_one_by_one_and_depends_on_scale():
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[-32:32, -32:32]
    a = np.exp(-np.hypot(rows, columns) / 3) * generator.random((64, 64)) * 50
    logs = np.log10(1 + 3 * a)  # three colours are summed
    for share in SHARES:
        side = next(
            (2 * i + 1 for i in range(1, 32) if logs[32 - i : 33 + i, 32 - i : 33 + i].sum() > share * logs.sum()),
            math.nan,
        )
        assert replknet_ratio(result(a, 3), share)[0] == side
    assert replknet_ratio(result(a, 3), 0.5)[0] > measure(result(a))['side_50']
    assert replknet_ratio(result(a * 1e4), 0.5)[0] > replknet_ratio(result(a), 0.5)[0]


class Residual(nn.Module):
    """A ResNet in small: stem, two residual blocks of stride 2, batch norms."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Conv2d(8, 8, 3, 1, 1))
            for _ in range(2)
        )
        self.short = nn.ModuleList(nn.Conv2d(8, 8, 1, 2) for _ in range(2))

    def forward(self, x):
        x = self.stem(x)
        for branch, short in zip(self.branches, self.short):
            x = branch(x) + short(x)  # no ReLU behind the last one: its positive part matters
        return x


@pytest.mark.parametrize('size', [(96, 96), (80, 96)])
def test_the_whole_procedure_of_replknet_gives_the_same_ratios(size):
    """Section 4 of the paper and its published analysis, written down from the definition."""
    model, data = Residual().eval(), Noise(4, (3, *size))
    total = 0
    for image in data:
        x = image.float()[None].requires_grad_()
        y = model(x)
        centre = y[:, :, y.shape[2] // 2, y.shape[3] // 2]
        total = total + torch.autograd.grad(centre.relu().sum(), x)[0].relu().sum((0, 1))
    contribution = torch.log10(total.double() / len(data) + 1).numpy()
    contribution /= contribution.max()
    found, absolute = (st_erf(model, data, '.', signed=s, batch_size=2)['.'] for s in (True, False))
    maps = [np.log10(1 + 3 * result.mean[0]) for result in (found, absolute)]  # three colours are summed
    np.testing.assert_allclose(maps[0] / maps[0].max(), contribution, rtol=1e-4, atol=1e-7)
    assert not np.allclose(maps[1] / maps[1].max(), contribution, rtol=0.01)
    row, column = size[0] // 2, size[1] // 2
    sides = []
    for share in SHARES:
        for i in range(1, size[0] // 2):
            square = contribution[row - i : row + i + 1, column - i : column + i + 1]
            if square.sum() / contribution.sum() > share:
                break
        expected = (2 * i + 1, (2 * i + 1) / size[0] * (2 * i + 1) / size[1])
        assert replknet_ratio(found, share) == expected
        sides.append(expected[0])
    assert sides == sorted(set(sides)) and sides[-1] < size[0]
