import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmsterf.snn import SpikeConv2d, depthwise


def gradients(conv, x):
    """Output, and gradients of the input, weight and bias."""
    x = x.clone().requires_grad_()
    y = conv(x)
    (y * torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)).sum().backward()
    found = [y.detach(), x.grad, *(p.grad.clone() for p in conv.parameters())]
    conv.zero_grad()
    return found


@pytest.fixture
def calls(monkeypatch):
    """Weights whose gradient came in strips."""
    seen = []
    original = depthwise.weight_gradient
    monkeypatch.setattr(depthwise, 'weight_gradient', lambda *args: seen.append(args[2].shape) or original(*args))
    return seen


@pytest.mark.parametrize('kernel', [4, 5, 7, (3, 7), (7, 4)])
@pytest.mark.parametrize('stride', [1, 2, (2, 3)])
@pytest.mark.parametrize('padding', [0, 3, (1, 2)])
def test_strips_are_the_gradient(kernel, stride, padding, calls, monkeypatch):
    torch.manual_seed(0)
    conv = SpikeConv2d(6, 6, kernel, stride=stride, padding=padding, groups=6).double()
    x = 4 * torch.rand(2, 6, 12, 15, dtype=torch.double)
    found = gradients(conv, x)
    assert calls == [conv.weight.shape]
    monkeypatch.setattr('mmsterf.snn.layers.is_slow', lambda *_: False)
    for a, b in zip(found, gradients(conv, x)):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    'kwargs',
    [
        dict(kernel_size=3, groups=6, padding=1),
        dict(kernel_size=7, groups=1, padding=3),
        dict(kernel_size=7, groups=3, padding=3),
        dict(kernel_size=5, groups=6, dilation=2),
        dict(kernel_size=5, groups=6, padding='same'),
        dict(kernel_size=5, groups=6, padding=2, padding_mode='reflect'),
    ],
)
def test_other_convolutions_are_left_alone(kwargs, calls):
    conv = SpikeConv2d(6, 6, **kwargs)
    assert gradients(conv, torch.rand(2, 6, 12, 12))[2].shape == conv.weight.shape
    assert not calls


def test_mixed_precision(calls):
    conv = SpikeConv2d(4, 4, 7, padding=3, groups=4, bias=False)
    x = 4 * torch.rand(2, 4, 16, 16)
    with torch.autocast('cpu', torch.bfloat16):
        y = conv(x)
    assert y.dtype == torch.bfloat16
    y.float().square().sum().backward()
    assert calls and conv.weight.grad.dtype == torch.float32
    weight = conv.weight.detach().bfloat16().float().requires_grad_()
    F.conv2d(conv.neuron(x), weight, padding=3, groups=4).square().sum().backward()
    torch.testing.assert_close(conv.weight.grad, weight.grad, rtol=0.03, atol=0.03 * weight.grad.abs().max().item())


def test_second_derivatives_are_refused():
    conv = SpikeConv2d(4, 4, 7, padding=3, groups=4, neuron=nn.Identity())
    x = torch.rand(1, 4, 8, 8, requires_grad=True)
    (grad,) = torch.autograd.grad(conv(x).square().sum(), conv.weight, create_graph=True)
    with pytest.raises(RuntimeError, match='once_differentiable'):
        grad.sum().backward()
