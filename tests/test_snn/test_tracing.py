"""What records a model instead of running it: torch.jit.trace, torch.export, and files of both."""

import io

import pytest
import torch
from torch import nn

from mmsterf.snn import NEURONS, SpikeConv2d


@pytest.mark.parametrize('with_grad', [True, False])
@pytest.mark.parametrize('time_steps', [1, 2])
@pytest.mark.parametrize('kind', sorted(NEURONS))
def test_traced_neuron_is_the_neuron(kind, time_steps, with_grad):
    neuron = NEURONS[kind](time_steps=time_steps)
    other = 3 * torch.randn(4, 3, 5, 5)
    with torch.set_grad_enabled(with_grad):
        traced = torch.jit.trace(neuron, torch.randn(4, 3, 5, 5, requires_grad=with_grad))
        file = io.BytesIO()
        torch.jit.save(traced, file)
        file.seek(0)
        assert torch.equal(traced(other), neuron(other))
        assert torch.equal(torch.jit.load(file)(other), neuron(other))
    if with_grad:
        other.requires_grad_()
        gradients = [torch.autograd.grad(f(other).square().sum(), other)[0] for f in (traced, neuron)]
        assert torch.equal(*gradients) and gradients[0].any()


@pytest.mark.parametrize('normalize', [True, False])
@pytest.mark.parametrize('dtype', [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_traced_counts_are_the_counts_at_every_value(normalize, dtype):
    neuron = NEURONS['ILIF'](normalize=normalize)
    special = torch.tensor([0.5, 1.5, 2.5, 3.5, 4.0, -0.0, float('inf'), -float('inf'), 1e-7])
    x = torch.cat([torch.linspace(-1, 5, 4001), special]).to(dtype).requires_grad_()
    traced = torch.jit.trace(neuron, x)
    assert torch.equal(traced(x), neuron(x))
    assert torch.equal(*(torch.autograd.grad(f(x).sum(), x)[0] for f in (traced, neuron)))


@pytest.mark.parametrize('kind', sorted(NEURONS))
def test_exported_neuron_is_the_neuron(kind):
    neuron, x = NEURONS[kind](time_steps=2), torch.randn(4, 3, 5, 5)
    assert torch.equal(torch.export.export(neuron, (x,)).module()(2 * x), neuron(2 * x))


def test_traced_depthwise_convolution_learns_the_same():
    """Its weight gradient is a function of ours otherwise."""
    model = nn.Sequential(SpikeConv2d(8, 8, 7, padding=3, groups=8), SpikeConv2d(8, 4, 1))
    x = 2 * torch.randn(1, 8, 9, 9)
    traced = torch.jit.trace(model, x)
    assert torch.equal(traced(x), model(x))
    for a, b in zip(*(torch.autograd.grad(f(x).square().sum(), list(model.parameters())) for f in (traced, model))):
        torch.testing.assert_close(a, b)
