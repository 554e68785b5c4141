"""Surrogates of one's own: a class, a module, or a config that names the class, as neurons are given."""

import copy
import pickle

import pytest
import torch
from spikingjelly.activation_based.surrogate import ATan
from torch import nn

from mmsterf.models import MetaSDTv2
from mmsterf.snn import IF, LIF, PLIF, Izhikevich, build_surrogate


class _Spike(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, slope):
        ctx.slope = slope
        return (x >= 0).to(x)

    @staticmethod
    def backward(ctx, grad):
        return ctx.slope * grad, None


class Flat(nn.Module):
    """A surrogate whose derivative is the same everywhere."""

    def __init__(self, slope: float = 0.5) -> None:
        super().__init__()
        self.slope = slope

    def forward(self, x):
        return _Spike.apply(x, self.slope)


GIVEN = {
    'class': (Flat, 0.5),
    'module': (Flat(0.25), 0.25),
    'config': ({'type': Flat, 'slope': 2.0}, 2.0),
}


@pytest.mark.parametrize('neuron', [IF, LIF, PLIF, Izhikevich])
@pytest.mark.parametrize('given', GIVEN)
def test_neuron_takes_it(neuron, given):
    surrogate, slope = GIVEN[given]
    built = neuron(surrogate=surrogate)
    assert built.node.surrogate_function.slope == slope
    x = torch.tensor([0.2, 3.0], requires_grad=True)
    built(x).sum().backward()
    assert x.grad.all()
    if neuron is IF:
        assert torch.equal(x.grad, torch.full((2,), slope))
    assert torch.equal(copy.deepcopy(built)(x), built(x)) and torch.equal(
        pickle.loads(pickle.dumps(built))(x), built(x)
    )


@pytest.mark.parametrize('given', GIVEN)
def test_backbone_takes_it(given):
    surrogate, slope = GIVEN[given]
    neuron = {'type': 'LIF', 'surrogate': surrogate}
    model = MetaSDTv2({'embed_dims': (8, 8, 16, 16), 'depths': (1, 1, 1, 1, 1)}, neuron=neuron, time_steps=2)
    found = [m for m in model.modules() if isinstance(m, Flat)]
    assert found and {m.slope for m in found} == {slope}


def test_what_is_none_is_refused():
    assert isinstance(build_surrogate({'type': 'mmsterf.ATan'}), ATan)
    with pytest.raises(TypeError, match=r'nn\.Module.*int'):
        build_surrogate(int)
    with pytest.raises(TypeError, match=r"dict\(type=\.\.\.\), with one of ATan.* or a class, or a module; got 'ATan'"):
        build_surrogate('ATan')
    assert build_surrogate(Flat) is not build_surrogate(Flat)
