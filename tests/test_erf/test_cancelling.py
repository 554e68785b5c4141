"""Cancelling gradients of large images are found on small ones, or on the large ones themselves."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from mmsterf.erf import Noise, core, crops, st_erf

SIZES = []


class Patches(nn.Module):
    """Patches of 16 x 16 and a layer norm of theirs; takes only images of `size`, if that is given."""

    def __init__(self, size=None) -> None:
        super().__init__()
        self.size, self.patch, self.norm = size, nn.Conv2d(3, 8, 16, 16), nn.LayerNorm(8)

    def forward(self, x):
        SIZES.append(tuple(x.shape[-2:]))
        if self.size and tuple(x.shape[-2:]) != self.size:
            raise ValueError('not my size')
        return self.norm(self.patch(x).permute(0, 2, 3, 1))


@pytest.mark.parametrize('size', [None, (512, 640)])
@pytest.mark.parametrize('position', ['center', (0, 7)])
def test_of_large_images(size, position, monkeypatch):
    full = []
    monkeypatch.setattr(crops, 'LEAST', math.inf)
    original = core.cancelling
    monkeypatch.setattr(core, 'cancelling', lambda *a: full.append(a) or original(*a))
    SIZES.clear()
    said = []
    torch.manual_seed(0)
    result = st_erf(Patches(size), Noise(2, (3, 512, 640)), ['patch', 'norm'], position=position, notify=said.append)
    assert [r.cancels for r in result.values()] == [False, True]
    assert len(said) == 1 and 'cancels' in said[0]
    small = size is None and position == 'center'
    assert len(full) == (0 if small else 2)
    assert ((128, 160) in SIZES) == (position == 'center') and SIZES.count((512, 640)) == 2
    row, column = (256, 320) if position == 'center' else position
    patch = result['patch'].mean[0]
    assert np.nonzero(patch)[0].min() == row // 16 * 16 and np.count_nonzero(patch) == 256
    assert np.nonzero(patch)[1].min() == column // 16 * 16
