"""Backward passes stage by stage: the same maps, and a graph that shrinks on the way."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd.graph import get_gradient_edge

from mmsterf.erf import Noise, core, st_erf
from mmsterf.erf.chain import is_chain


def edges_of(*outputs):
    return [[(get_gradient_edge(y), y)] for y in outputs]


def test_what_a_chain_is():
    x = torch.randn(1, 4, 8, 8, requires_grad=True)
    a = x.exp()
    b = a.sin() + a.cos()
    c = b * b
    assert is_chain(edges_of(a, b, c)) and is_chain(edges_of(a, c)) and is_chain(edges_of(c))
    assert not is_chain(edges_of(b, a)) and not is_chain(edges_of(a, a)) and not is_chain(edges_of(x.sin(), c))
    assert not is_chain(edges_of(a, b + x)) and not is_chain(edges_of(b, c + a))
    first, second = x.split(2, 1)  # two outputs of one op
    assert is_chain(edges_of(second, second.exp())) and not is_chain(edges_of(second, second.exp() + first))
    assert not is_chain([*edges_of(a), [*edges_of(b)[0], *edges_of(c)[0]]])  # several calls


class Stages(nn.Sequential):
    def __init__(self):
        torch.manual_seed(0)
        make = lambda i: nn.Sequential(nn.Conv2d(i, 6, 3, 2, 1), nn.Tanh(), nn.Conv2d(6, 6, 3, padding=1))  # noqa: E731
        super().__init__(make(3), make(6), make(6))


@pytest.mark.parametrize('how', [{}, {'step': 'sum'}, {'batch_size': 2}, {'time_steps': 2, 'input_time': 'folded'}])
def test_maps_are_those_of_one_pass_after_the_other(how, monkeypatch):
    data = Noise(5, (2, 3, 64, 48) if 'time_steps' in how else (3, 64, 48))
    used = []
    monkeypatch.setattr(core, 'is_chain', lambda captured: used.append(is_chain(captured)) or used[-1])
    found = st_erf(Stages(), data, ['0', '1', '2'], **how)
    assert used and all(used)
    monkeypatch.setattr(core, 'is_chain', lambda captured: False)
    for name, expected in st_erf(Stages(), data, ['0', '1', '2'], **how).items():
        assert expected.mean.max() > 0
        np.testing.assert_allclose(found[name].mean, expected.mean, rtol=0, atol=1e-6 * expected.mean.max())
        np.testing.assert_allclose(found[name].sem, expected.sem, rtol=0, atol=1e-6 * expected.mean.max())


def test_what_lies_between_is_freed_first():
    """When the first stage is reached, nothing that later stages saved is left."""
    alive, left = [], []

    class Counted(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, late):
            if late:
                ctx.token = Token()
            ctx.late = late
            return 2 * x

        @staticmethod
        def backward(ctx, grad):
            if not ctx.late:
                left.append(len(alive))
            return 2 * grad, None

    class Token:
        def __init__(self):
            alive.append(1)

        def __del__(self):
            alive.pop()

    class Stage(nn.Module):
        def __init__(self, late):
            super().__init__()
            self.late = late

        def forward(self, x):
            return Counted.apply(x, self.late)

    model = nn.Sequential(Stage(False), nn.Conv2d(3, 4, 3), Stage(True), nn.ReLU(), Stage(True), nn.Conv2d(4, 4, 3))
    st_erf(model, Noise(3, (3, 16, 16)), ['1', '3', '5'], batch_size=1)
    assert left[-6:] == [0] * 6


def test_a_graph_that_refuses_blocks_is_run_again(monkeypatch):
    data = Noise(3, (3, 512, 520))  # large: whether gradients cancel is known before
    expected = st_erf(Stages(), data, ['0', '2'])

    def refuse(*args):
        raise RuntimeError('no')

    monkeypatch.setattr('mmsterf.erf.blocks.run', refuse)
    for name, result in st_erf(Stages(), data, ['0', '2']).items():
        np.testing.assert_allclose(result.mean, expected[name].mean, rtol=0, atol=1e-6 * result.mean.max())
