"""I-LIF neuron and the layers it stands in front of."""

import copy

import pytest
import torch
from torch import nn

from mmsterf.snn import (
    ILIF,
    SpikeConv2d,
    SpikeConvTranspose2d,
    SpikeLinear,
    build_neuron,
    fold,
    fold_norms,
    rate,
    unfold,
)


def test_counts_are_rounded_half_to_even_and_clipped():
    x = torch.tensor([-3.0, -0.2, 0.5, 0.51, 1.5, 2.5, 3.49, 3.5, 9.0, float('inf')])
    counts = torch.tensor([0.0, 0, 0, 1, 2, 2, 3, 4, 4, 4])
    assert torch.equal(ILIF(normalize=False)(x), counts)
    assert torch.equal(ILIF()(x), counts / 4)
    assert torch.equal(ILIF(max_count=2, normalize=False)(x), counts.clamp(max=2))


def test_divisor_of_its_own():
    x = torch.tensor([-1.0, 1, 5, 9], requires_grad=True)
    neuron = ILIF(max_count=8, norm=4, eval_max_count=4)
    y = neuron(x)
    assert torch.equal(y, torch.tensor([0, 0.25, 1.25, 2.0]))
    y.sum().backward()
    assert torch.equal(x.grad, torch.tensor([0, 0.25, 0.25, 0]))
    assert torch.equal(neuron.eval()(x), torch.tensor([0, 0.25, 1.0, 1.0]))
    folded = fold_norms(torch.nn.Sequential(SpikeLinear(2, 2, neuron=dict(type='ILIF', max_count=8, norm=4))))
    assert folded[0].neuron(x).max() == 8  # counts; the divisor is in the weights


@pytest.mark.parametrize('normalize, slope', [(False, 1.0), (True, 0.25)])
def test_gradient_is_a_window_with_closed_ends(normalize, slope):
    x = torch.tensor([-1e-6, 0.0, 2.2, 4.0, 4.0 + 1e-6], dtype=torch.float64, requires_grad=True)
    ILIF(normalize=normalize)(x).sum().backward()
    assert torch.equal(x.grad, slope * torch.tensor([0.0, 1, 1, 1, 0], dtype=torch.float64))


def test_gradient_has_the_layout_of_the_input():
    """torch's CPU batch norm misreads gradients of one image with the strides of a transposed view."""
    x = torch.randn(1, 8, 5, 4, requires_grad=True)
    norm = nn.BatchNorm2d(8)
    transposed = torch.randn(1, 20, 8).transpose(1, 2)
    (norm_grad,) = torch.autograd.grad(ILIF()(norm(x)).flatten(2), x, transposed)
    (expected,) = torch.autograd.grad(ILIF()(norm(x)).flatten(2), x, transposed.contiguous())
    assert torch.allclose(norm_grad, expected, atol=1e-6)


def test_evaluation_clip_is_off_unless_asked_for():
    x = torch.tensor([0.2, 1.7, 3.9])
    assert torch.equal(ILIF(normalize=False).eval()(x), torch.tensor([0.0, 2, 4]))
    clipping = ILIF(normalize=False, eval_max_count=1)
    assert torch.equal(clipping(x), torch.tensor([0.0, 2, 4]))
    assert torch.equal(clipping.eval()(x), torch.tensor([0.0, 1, 1]))


def test_several_steps_carry_charge_but_nothing_between_calls():
    """v leaks by 1/tau a step and loses what is fired: tau 4/3 keeps a quarter."""
    neuron = ILIF(normalize=False, time_steps=3)
    x = torch.tensor([0.4, 0.45, 2.6])[:, None]
    # v: 0.4 -> 0; 0.1 + 0.45 -> 1, rest -0.45; -0.1125 + 2.6 -> 2
    expected = torch.tensor([0.0, 1.0, 2.0])[:, None]
    for _ in range(2):
        assert torch.equal(neuron(x), expected)
    assert neuron(torch.zeros(6, 5)).shape == (6, 5)
    copied = copy.deepcopy(neuron)
    assert torch.equal(copied(x), expected)
    assert not neuron.state_dict()


def test_time_constant_of_one_step_is_no_memory_and_less_is_refused():
    x = 5 * torch.rand(12, 3)
    assert torch.equal(ILIF(time_steps=3, tau=1)(x), ILIF()(x))
    for steps in (1, 2):
        with pytest.raises(ValueError, match=r'tau of ILIF must be at least 1, got 0\.5'):
            ILIF(time_steps=steps, tau=0.5)


def test_neuron_keeps_the_dtype_of_mixed_precision():
    for dtype in (torch.float16, torch.bfloat16):
        x = torch.tensor([0.6, 3.9], dtype=dtype, requires_grad=True)
        y = ILIF()(x)
        y.sum().backward()
        assert y.dtype == x.grad.dtype == dtype


def test_compiled_neuron_is_the_neuron():
    neuron = ILIF()
    x = torch.randn(64, requires_grad=True)
    compiled = torch.compile(neuron, backend='aot_eager', fullgraph=True)
    (grad,) = torch.autograd.grad(neuron(2 * x).square().sum(), x)
    (compiled_grad,) = torch.autograd.grad(compiled(2 * x).square().sum(), x)
    assert torch.equal(neuron(x), compiled(x)) and torch.equal(grad, compiled_grad)


@pytest.mark.parametrize('bad', [dict(max_count=0), dict(max_count=2.5), dict(time_steps=0), dict(eval_max_count=0)])
def test_bad_counts_are_named(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        ILIF(**bad)


def test_unknown_neuron_lists_the_choices():
    with pytest.raises(KeyError, match=r"'Perceptron'.*ILIF"):
        build_neuron(dict(type='Perceptron'))
    assert isinstance(build_neuron(dict(type='mmsterf.ILIF', max_count=2)), ILIF)


def test_time_is_major():
    x = torch.arange(6.0).reshape(6, 1)
    assert torch.equal(unfold(x, 2)[1], x[3:])
    assert torch.equal(fold(unfold(x, 3)), x)
    assert torch.equal(rate(x, 2).flatten(), torch.tensor([1.5, 2.5, 3.5]))
    with pytest.raises(ValueError, match='got 6, not a multiple of time_steps=4'):
        unfold(x, 4)


@pytest.mark.parametrize(
    'spiking, plain, shape',
    [
        (SpikeConv2d(3, 5, 3, padding=1), nn.Conv2d(3, 5, 3, padding=1), (2, 3, 6, 7)),
        (SpikeConvTranspose2d(3, 5, 2, stride=2), nn.ConvTranspose2d(3, 5, 2, stride=2), (2, 3, 6, 7)),
        (SpikeLinear(3, 5), nn.Linear(3, 5), (2, 3)),
    ],
)
def test_layers_multiply_counts(spiking, plain, shape):
    plain.load_state_dict(spiking.state_dict())
    x = 3 * torch.randn(shape)
    assert torch.equal(spiking(x), plain(x.clamp(0, 4).round()))


def test_efficient_conv_bn_eval_is_refused():
    conv = SpikeConv2d(2, 2, 1)
    with pytest.raises(NotImplementedError, match='efficient_conv_bn_eval'):
        conv._conv_forward(torch.ones(1, 2, 3, 3), 2 * conv.weight, conv.bias)


def test_exported_over_time_is_the_neuron():
    neuron = ILIF(time_steps=3, max_count=4)
    x = 6 * torch.rand(6, 5, 7) - 1
    program = torch.export.export(nn.Sequential(neuron), (x,))
    assert torch.equal(program.module()(x), neuron(x))
    assert all('sj' not in str(node.target) for node in program.graph.nodes)
