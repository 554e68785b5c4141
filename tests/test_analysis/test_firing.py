"""Firing rates: share of slots with a spike."""

import pytest
import torch
from torch import nn

from mmsterf.analysis import FiringRates, state_of
from mmsterf.snn import ILIF, LIF, SpikeLinear


@pytest.mark.parametrize('normalize', [True, False])
def test_rate_is_per_slot(normalize):
    model = nn.Sequential(ILIF(4, normalize))
    with FiringRates(model) as rates:
        model(torch.tensor([[0.0, 1.0, 2.0, 9.0]]))
        model(torch.zeros(1, 4))
    assert rates.rates() == {'0': 7 / 32} and rates.mean() == 7 / 32
    model(torch.ones(1, 4))
    assert rates.mean() == 7 / 32  # no longer watched


def test_each_neuron_by_its_name():
    model = nn.Sequential(SpikeLinear(2, 2, neuron={'type': 'ILIF', 'max_count': 2}), LIF(time_steps=2), ILIF(1))
    with FiringRates(model) as rates, torch.no_grad():
        model[0](torch.tensor([[2.0, 1.0]]))
        model[1](torch.tensor([[9.0], [0.0]]))
    assert rates.rates() == {'0.neuron': 0.75, '1': 0.5}
    assert rates.mean() == (3 + 1) / (4 + 2)


def test_dead_and_saturated():
    assert [state_of(rate) for rate in (0.0, 1e-9, 0.5, 0.95, 1.0)] == ['dead', '', '', 'saturated', 'saturated']


def test_eval_count():
    model = ILIF(4, normalize=False, eval_max_count=1).eval()
    with FiringRates(model) as rates:
        model(torch.tensor([[0.0, 9.0]]))
    assert rates.mean() == 0.5
