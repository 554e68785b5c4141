"""Threshold neurons and surrogate gradients."""

import copy

import pytest
import torch
from spikingjelly.activation_based import neuron as sj_neuron

from mmsterf.snn import (
    IF,
    LIF,
    NEURONS,
    PLIF,
    SURROGATES,
    Izhikevich,
    SpikeConv2d,
    build_neuron,
    build_surrogate,
    half_threshold,
    unfold,
)

THRESHOLD_NEURONS = [IF, LIF, PLIF, Izhikevich]


def lif_by_hand(x, tau=2.0, threshold=1.0, reset=0.0, decay_input=True, alpha=4.0):
    """(T, N) to (T, N); spikes have the derivative of a sigmoid, the reset has none."""
    v, spikes = torch.full_like(x[0], reset or 0.0), []
    for step in x:
        v = v + ((step if decay_input else step * tau) - (v - (reset or 0.0))) / tau
        soft = torch.sigmoid(alpha * (v - threshold))
        spike = (v >= threshold).to(v) + soft - soft.detach()
        spikes.append(spike)
        s = spike.detach()
        v = v - s * threshold if reset is None else v * (1 - s) + s * reset
    return torch.stack(spikes)


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.parametrize(
    'arguments',
    [
        {},
        dict(tau=1.1, decay_input=False),
        dict(tau=1),
        dict(threshold=0.5),
        dict(reset=None),
        dict(reset=-0.5),
        dict(alpha=2.0),
    ],
)
def test_lif_and_its_gradient_by_hand(arguments, dtype):
    x = (1.5 * torch.randn(5, 40, dtype=dtype)).requires_grad_()
    names = {'threshold': 'v_threshold', 'reset': 'v_reset', 'alpha': 'surrogate'}
    cfg = {names.get(name, name): value for name, value in arguments.items()}
    if 'surrogate' in cfg:
        cfg['surrogate'] = dict(type='Sigmoid', alpha=cfg['surrogate'])
    expected = lif_by_hand(x, **arguments)
    spikes = unfold(LIF(time_steps=5, **cfg)(x.flatten()), 5)
    assert torch.equal(spikes, expected.round()) and 0 < spikes.mean() < 1
    weight = torch.randn_like(x)
    gradients = [torch.autograd.grad(y, x, weight)[0] for y in (spikes, expected)]
    assert torch.allclose(*gradients, rtol=1e-5, atol=1e-6)


def test_if_adds_up():
    x = torch.tensor([0.6, 0.6, 0.6, 0.6])
    assert torch.equal(IF(time_steps=4)(x), torch.tensor([0.0, 1, 0, 1]))
    assert torch.equal(IF(time_steps=4, v_reset=None)(x), torch.tensor([0.0, 1, 0, 1]))
    assert torch.equal(IF(time_steps=4, v_threshold=0.5)(x), torch.ones(4))


def test_plif_is_lif_with_a_learnable_time_constant():
    x = 2 * torch.randn(40)
    neuron = PLIF(time_steps=4, tau=3.0)
    y = neuron(x)
    assert torch.equal(y, LIF(time_steps=4, tau=3.0)(x))
    y.sum().backward()
    assert list(neuron.state_dict()) == ['node.w'] and neuron.node.w.grad.abs() > 0
    assert 1 / neuron.node.w.sigmoid().item() == pytest.approx(3.0)


def test_izhikevich_recovers():
    """Adaptation (b > 0) makes it fire less often."""
    x = torch.full((20,), 1.5)
    rates = [Izhikevich(time_steps=20, b=b)(x).mean() for b in (0.0, 2.0)]
    assert 0 < rates[1] < rates[0]


@pytest.mark.parametrize('kind', [*THRESHOLD_NEURONS, NEURONS['ILIF']])
def test_nothing_leaks_between_calls(kind):
    neuron = kind(time_steps=4)
    inputs = [2 * torch.randn(4 * n, c, 3, 3) for n, c in ((2, 3), (1, 5), (2, 3))]
    expected = [kind(time_steps=4)(x) for x in inputs]
    for _ in range(2):
        assert all(torch.equal(neuron(x), y) for x, y in zip(inputs, expected))
    with pytest.raises(ValueError, match='got 7, not a multiple of time_steps=4'):
        neuron(torch.ones(7, 2))
    copied = copy.deepcopy(neuron)
    assert torch.equal(copied(inputs[0]), expected[0])
    assert all(isinstance(value, float) for value in neuron.node._memories.values())
    assert set(neuron.state_dict()) <= {'node.w'}


@pytest.mark.parametrize('kind', THRESHOLD_NEURONS)
def test_batches_do_not_mix(kind):
    x = 2 * torch.randn(4, 3, 6)
    neuron = kind(time_steps=4)
    together = unfold(neuron(x.flatten(0, 1)), 4)
    assert all(torch.equal(neuron(x[:, i]), together[:, i]) for i in range(3))
    assert torch.equal(unfold(neuron(x.flip(1).flatten(0, 1)), 4), together.flip(1))


def test_state_is_gone_after_an_error(monkeypatch):
    neuron = LIF(time_steps=2)
    monkeypatch.setattr(neuron.node, 'v', torch.ones(3))  # as if interrupted half way
    with monkeypatch.context() as patch:
        patch.setattr(neuron.node, 'multi_step_forward', lambda x: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            neuron(torch.ones(2, 3))
    assert torch.equal(neuron(torch.full((2, 3), 0.5)), torch.zeros(2, 3))


@pytest.mark.parametrize('alpha', [0.5, 1.0, 2.0, 4.0])
@pytest.mark.parametrize('name', SURROGATES)
def test_surrogate_is_the_slope_of_its_primitive(name, alpha):
    surrogate = build_surrogate(dict(type=name, alpha=alpha))
    step = 1e-6
    x = torch.linspace(-2.503, 2.497, 401, dtype=torch.float64)  # misses the kinks
    primitive = [type(surrogate).primitive_function(x + h, alpha) for h in (step, -step)]
    slope = (primitive[0] - primitive[1]) / (2 * step)
    x.requires_grad_()
    spikes = surrogate(x)
    assert torch.equal(spikes, (x >= 0).double())
    (gradient,) = torch.autograd.grad(spikes.sum(), x)
    assert torch.allclose(gradient, slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('kind', THRESHOLD_NEURONS)
@pytest.mark.parametrize('name', SURROGATES)
def test_every_neuron_takes_every_surrogate(kind, name):
    cfg = dict(type=kind.__name__, time_steps=3, surrogate=dict(type=name, alpha=1.5))
    neuron = build_neuron(cfg)
    assert type(neuron.node.surrogate_function) is SURROGATES[name] and neuron.node.surrogate_function.alpha == 1.5
    x = torch.randn(30, requires_grad=True)
    neuron(x).sum().backward()
    assert x.grad.abs().sum() > 0
    assert neuron.node.surrogate_function is not build_neuron(cfg).node.surrogate_function
    assert cfg['surrogate'] == dict(type=name, alpha=1.5)


def test_defaults_are_the_published():
    node = LIF().node
    assert (node.tau, node.v_threshold, node.v_reset) == (2.0, 1.0, 0.0)
    assert node.decay_input and node.detach_reset and node.step_mode == 'm'
    assert type(node.surrogate_function) is SURROGATES['Sigmoid'] and node.surrogate_function.alpha == 4.0
    assert LIF().node.surrogate_function is not node.surrogate_function


def test_unknown_names_list_the_choices():
    with pytest.raises(KeyError, match=r"'ReLU'.*IF, ILIF, Izhikevich, LIF, PLIF"):
        build_neuron(dict(type='ReLU'))
    with pytest.raises(KeyError, match=r"'Box'.*ATan.*PiecewiseQuadratic, Rect, Sigmoid"):
        LIF(surrogate=dict(type='Box'))
    with pytest.raises(ValueError, match="backend of LIF must be one of torch here, got 'abacus'"):
        LIF(backend='abacus')


@pytest.mark.parametrize('bad', [dict(time_steps=0), dict(time_steps=1.5), dict(tau=0.9)])
def test_bad_numbers_are_named(bad):
    with pytest.raises(ValueError, match=f'{next(iter(bad))} of LIF must be'):
        LIF(**bad)


def test_backends_that_both_offer_are_passed_on():
    class Node(sj_neuron.LIFNode):
        supported_backends = ('torch', 'math', 'no_such_package')  # `math` stands for an installed one

        def __init__(self, *args, backend='torch', **kwargs):
            super().__init__(*args, **kwargs)
            self.backend = backend

    class Neuron(LIF):
        node_type = Node

    assert Neuron().node.backend == 'torch' and Neuron(backend='math').node.backend == 'math'
    with pytest.raises(ValueError, match="must be one of torch, math here, got 'no_such_package'"):
        Neuron(backend='no_such_package')


def test_half_threshold():
    assert half_threshold(dict(type='LIF'))['v_threshold'] == 0.5
    assert half_threshold(dict(type='mmsterf.PLIF', v_threshold=0.8)) == dict(type='mmsterf.PLIF', v_threshold=0.4)
    assert half_threshold(dict(type='ILIF')) == dict(type='ILIF')


def test_layers_take_any_neuron():
    conv = SpikeConv2d(2, 3, 1, neuron=dict(type='LIF', time_steps=2))
    x = torch.full((2, 2, 1, 1), 1.5)  # v: 0.75, then 1.125
    assert torch.equal(conv(x)[0, :, 0, 0], conv.bias)
    assert torch.allclose(conv(x)[1, :, 0, 0], conv.bias + conv.weight.sum((1, 2, 3)))


@pytest.mark.parametrize('kind', [*THRESHOLD_NEURONS, NEURONS['ILIF']])
def test_nothing_in_nothing_out(kind):
    x = torch.zeros(0, 3, 7, 7, requires_grad=True)
    y = kind(time_steps=4)(x)
    y.sum().backward()
    assert y.shape == x.shape and x.grad.shape == x.shape


@pytest.mark.parametrize(
    ('name', 'known'), [('rectangle', 'Rect'), ('triangle', 'PiecewiseQuadratic'), ('Polynomial', 'PiecewiseQuadratic')]
)
def test_surrogates_by_the_names_of_the_paper(name, known):
    surrogate = build_surrogate(dict(type=name, alpha=1.5))
    assert type(surrogate) is SURROGATES[known] and surrogate.alpha == 1.5


@pytest.mark.parametrize('wrong', ['LIF', {'tau': 2.0}, {}])
def test_configs_without_a_type_are_refused(wrong):
    with pytest.raises(TypeError, match=r'a neuron is dict.*Izhikevich, LIF, PLIF; got'):
        build_neuron(wrong)
    with pytest.raises(TypeError, match=r'a surrogate is dict.*rectangle \(Rect\).*; got'):
        build_surrogate(wrong)
