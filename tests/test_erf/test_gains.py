"""Gains of zero are found wherever they scale, named where they matter, and taken as 1 on demand."""

import numpy as np
import pytest
import torch
from torch import nn

from mmsterf.erf import Noise, calibrated, st_erf
from mmsterf.erf.gains import with_unit_gains


class Block(nn.Module):
    """A residual block whose branch is 3 x 3 wide and ends in a norm or layer scale."""

    def __init__(self, kind):
        super().__init__()
        self.conv, self.kind = nn.Conv2d(4, 4, 3, padding=1), kind
        self.norm = {'group': nn.GroupNorm(2, 4), 'layer': nn.LayerNorm(4)}.get(kind, nn.BatchNorm2d(4))
        self.scale = nn.Parameter(torch.zeros(4) if kind == 'scale' else torch.zeros(()))
        self.cls_token = nn.Parameter(torch.zeros(1, 4, 1, 1))
        if kind in ('batch', 'group', 'layer'):
            nn.init.zeros_(self.norm.weight)

    def forward(self, x):
        y = self.conv(x)
        if self.kind == 'layer':
            y = self.norm(y.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        elif self.kind in ('batch', 'group'):
            y = self.norm(y)
        elif self.kind == 'scale':
            y = y * self.scale[:, None, None]
        elif self.kind == 'rezero':
            y = self.scale * y
        return x + y + self.cls_token


def network(kind):
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 1), Block(kind), Block(kind), nn.Conv2d(4, 2, 1))


def widths(results):
    return [np.ptp(np.nonzero(r.mean[0])[0]) + 1 for r in results.values()]


@pytest.mark.parametrize('kind', ['batch', 'group', 'layer', 'scale', 'rezero'])
def test_fresh_residual_networks(kind):
    model, inputs = network(kind).train(), Noise(1, (3, 16, 16))
    state = {k: v.clone() for k, v in model.state_dict().items()}
    parameters = dict(model.named_parameters())
    told = []
    results = st_erf(model, inputs, ['0', '1.conv', '1', '3'], notify=told.append)
    assert widths(results) == [1, 3, 1, 1]
    name = 'scale' if kind in ('scale', 'rezero') else 'norm.weight'
    assert told == [
        f'2 gains are zero, as fresh residual branches have them (1.{name}, 2.{name}): the maps show the paths around '
        'those branches alone; unit_gains=True (--unit-gains) takes such gains as 1'
    ]
    # what is in front of them has no note
    assert [bool(r.notes) for r in results.values()] == [False, False, True, True]

    told.clear()
    raised = st_erf(model, inputs, ['0', '1.conv', '1', '3'], unit_gains=True, notify=told.append)
    stage = {'group': 16, 'layer': 1}.get(kind, 3)  # group norm looks everywhere; ones cancel behind layer norm
    assert widths(raised) == [1, 3, stage, 16 if kind == 'group' else 5]
    assert told == [f'the gains that are zero are taken as 1: 1.{name}, 2.{name}']

    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())
    assert all(p is parameters[n] and p.requires_grad for n, p in model.named_parameters())
    copied, names = with_unit_gains(model, inputs)
    assert names == [f'1.{name}', f'2.{name}'] and model.training
    again = st_erf(copied, inputs, ['3'], notify=told.append)
    np.testing.assert_array_equal(again['3'].mean, raised['3'].mean)
    assert not model.get_parameter(names[0]).any() and copied.get_parameter(names[0]).all()


def test_trained_gains_and_other_zeros_say_nothing():
    model, told = network('none'), []
    st_erf(model, Noise(1, (3, 16, 16)), ['2'], notify=told.append)
    assert told == []
    model = network('batch')
    nn.init.constant_(model[1].norm.weight, 1e-5)
    model[2].norm.weight.data[1] = 0.5
    st_erf(model, Noise(1, (3, 16, 16)), ['2'], unit_gains=True, notify=told.append)
    assert told == []


def test_gains_are_raised_before_norms_are_calibrated():
    model, inputs = network('batch'), Noise(2, (3, 16, 16))
    copied, _ = with_unit_gains(model, inputs)
    after = calibrated(copied, inputs)
    assert (after[2].norm.running_var > calibrated(model, inputs)[2].norm.running_var).any()
