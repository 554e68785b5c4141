"""Spike-driven inference: the same numbers from binary slots, and an honest list of what layers read."""

import pytest
import torch
from torch import nn

from mmsterf.models.backbones import MetaSDT, MetaSDTv2, Spikformer
from mmsterf.models.lif_attention import SSA, MaskSDSA
from mmsterf.models.mixers import RasterLinear
from mmsterf.snn import ILIF, LIF, SpikeConv2d, SpikeConvTranspose2d, SpikeLinear, fold_norms
from mmsterf.snn.spike_driven import is_spike_driven, spike_driven, watch_inputs

DIMS = {'embed_dims': (8, 16, 16, 24)}


def lively(model: nn.Module) -> nn.Module:
    """A float64 model in evaluation mode with random weights and norms that let neurons fire at all levels."""
    for module in model.double().eval().modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, std=0.3)
            nn.init.uniform_(module.running_var, 0.2, 0.5)
            nn.init.normal_(module.weight, 1, 0.2)
            nn.init.normal_(module.bias, 0.5, 0.5)
        elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(module.weight, std=1.5 * module.weight[0].numel() ** -0.5)
    return model


LAYERS = {
    'conv': (lambda n: SpikeConv2d(6, 8, 3, stride=2, padding=1, groups=2, neuron=n), (2, 6, 7, 9)),
    'conv_one_image': (lambda n: SpikeConv2d(6, 8, 3, dilation=2, padding='same', neuron=n), (6, 7, 9)),
    'conv_reflect': (lambda n: SpikeConv2d(6, 8, 3, padding=1, padding_mode='reflect', neuron=n), (2, 6, 7, 9)),
    'deconv': (lambda n: SpikeConvTranspose2d(6, 8, 3, stride=2, output_padding=1, neuron=n), (2, 6, 7, 9)),
    'linear': (lambda n: SpikeLinear(6, 8, neuron=n), (2, 5, 6)),
    'linear_vector': (lambda n: SpikeLinear(6, 8, neuron=n), (6,)),
    'raster': (lambda n: RasterLinear(6, 8, neuron=n), (2, 6, 4, 5)),
    'no_rois': (lambda n: SpikeLinear(6, 8, neuron=n), (0, 6)),
}


@pytest.mark.parametrize('max_count, normalize', [(4, True), (4, False), (3, True), (1, True)])
@pytest.mark.parametrize('name', LAYERS)
def test_weight_layers(name, max_count, normalize):
    build, shape = LAYERS[name]
    neuron = {'type': 'ILIF', 'max_count': max_count, 'normalize': normalize}
    layer = nn.Sequential(lively(build(neuron)))
    nn.init.normal_(layer[0].bias)
    x = 3 * torch.randn(shape, dtype=torch.float64)
    expected = layer(x)
    with watch_inputs(layer) as before:
        assert torch.equal(layer(x), expected)
    with spike_driven(layer) as inputs:
        torch.testing.assert_close(layer(x), expected, rtol=0, atol=1e-12)
    assert inputs == {'0': ('binary',)}
    assert before == {'0': ('binary' if max_count == 1 else 'integer',)}


def test_weights_meet_zeros_and_ones_alone():
    layer = lively(SpikeConv2d(6, 8, 3, padding=1))
    x = 3 * torch.randn(2, 6, 5, 5, dtype=torch.float64)
    assert layer.neuron(x).unique().tolist() == [0, 1, 2, 3, 4]
    given, conv2d = [], torch.conv2d

    def spy(x, weight, bias, *rest):
        given.append((x, bias))
        return conv2d(x, weight, bias, *rest)

    class Below(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            return (spy if func is conv2d else func)(*args, **(kwargs or {}))

    with Below(), spike_driven(layer):
        layer(x)
    ((slots, bias),) = given
    assert len(slots) == 2 * 4 and slots.unique().tolist() == [0, 1]
    assert bias is None  # once, behind the sum of the slots
    assert torch.equal(slots.unflatten(0, (4, 2)).sum(0), layer.neuron(x))


@pytest.mark.parametrize('mixer', ['ConvMixer', 'MLPixer', 'SRB'])
def test_backbone(mixer):
    model = lively(MetaSDT(DIMS, {'type': mixer}, mlp_ratio=2, residual_gain=1))
    x = torch.randn(1, 3, 32, 48, dtype=torch.float64)
    with torch.no_grad():
        expected = model(x)
        with spike_driven(model) as inputs:
            found = model(x)
        with watch_inputs(model) as before:
            model(x)
    for a, b in zip(found, expected):
        assert b.std() > 0.1
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)
    weights = {n for n, m in model.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))}
    products = {f'stage{s}.{i}.attn.product{p}' for s, n in ((3, 6), (4, 2)) for i in range(n) for p in (1, 2)}
    assert set(inputs) == weights | products
    assert [name for name, kinds in inputs.items() if not is_spike_driven(kinds)] == ['stem.conv']
    assert {kinds for name, kinds in inputs.items() if 'product1' in name} == {('binary', 'binary')}
    assert {kinds for name, kinds in inputs.items() if 'product2' in name} == {('integer', 'binary')}
    assert not any(is_spike_driven(kinds) for kinds in before.values())


def test_products_of_slots():
    """The factors of an expanded attention product are 0 and 1, all pairs of slots are summed."""
    q, k = (torch.randint(0, 5, (2, 3, n, 7)).double() for n in (4, 6))

    class Product(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = ILIF(), ILIF(normalize=False)

        def forward(self):
            return self.a(q) @ self.b(k).transpose(-1, -2)

    model = Product()
    seen = []

    class Below(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            if func is torch.Tensor.matmul:
                seen.extend(args)
            return func(*args, **(kwargs or {}))

    with Below(), spike_driven(model):
        out = model()
    assert torch.allclose(out, q / 4 @ k.transpose(-1, -2), rtol=0, atol=1e-12)
    assert [tuple(a.shape) for a in seen] == [(2, 3, 4 * 4, 7), (2, 3, 7, 4 * 6)]
    assert all(a.unique().tolist() == [0, 1] for a in seen)


@pytest.mark.parametrize('attention', [MaskSDSA, SSA])
def test_other_attention_with_counts(attention):
    model = lively(nn.Sequential(ILIF(), attention(8, neuron={'type': 'ILIF'})))
    x = 2 * torch.randn(2, 8, 4, 5, dtype=torch.float64)
    with torch.no_grad():
        expected = model(x)
        with spike_driven(model) as inputs:
            torch.testing.assert_close(model(x), expected, rtol=0, atol=1e-9)
    assert all(is_spike_driven(kinds) for kinds in inputs.values())


def test_several_time_steps():
    model = lively(MetaSDT(DIMS, mlp_ratio=1, residual_gain=1, time_steps=2))
    x = torch.randn(2, 1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        expected = model(x)
        with spike_driven(model) as inputs:
            found = model(x)
    for a, b in zip(found, expected):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-9)
    assert [name for name, kinds in inputs.items() if not is_spike_driven(kinds)] == ['stem.conv']


def test_binary_models_are_listed_too():
    """v2 has convolutions without a neuron in front; folding takes the re-parameterised ones away."""
    model = lively(MetaSDTv2(DIMS, time_steps=2, mlp_ratio=1))
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        with spike_driven(fold_norms(model)) as inputs:
            fold_norms(model)(x)
            assert not inputs  # another copy
        folded = fold_norms(model)
        with spike_driven(folded) as inputs:
            folded(x)
    analog = {name.split('.', 2)[-1] for name, kinds in inputs.items() if not is_spike_driven(kinds)}
    assert analog == {'conv', 'sepconv.pw2.conv'}  # the stem, and the second half of SepConv


def test_sums_of_spikes_are_counts():
    """Spikformer's residuals add spikes: its layers read counts, which are expanded as well."""
    model = lively(Spikformer(16, depth=2, num_heads=8, time_steps=2))
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        expected = model(x)[0]
        with watch_inputs(model) as before:
            model(x)
        with spike_driven(model) as inputs:
            torch.testing.assert_close(model(x)[0], expected, rtol=0, atol=1e-9)
    assert before['blocks.1.mlp.fc1.conv'] == ('integer',)
    assert inputs['blocks.1.mlp.fc1.conv'] == ('binary',)
    assert [name for name, kinds in inputs.items() if not is_spike_driven(kinds)] == ['stem.embed1.conv']


class Odd(nn.Module):
    """Reads spikes scaled, normed, made analog in place, averaged, and integers that no neuron fired."""

    def __init__(self):
        super().__init__()
        self.neuron = ILIF()
        self.names = ('normed', 'in_place', 'mean', 'pooled', 'image', 'spikes', 'plus')
        for name in self.names:
            self.add_module(name, nn.Conv2d(2, 2, 1))

    def forward(self, x):
        y = self.neuron(x)
        changed = self.neuron(x)
        changed += 0.3 * x
        self.normed(torch.batch_norm(y, None, None, x.mean((0, 2, 3)), x.var((0, 2, 3)), False, 0, 1e-5, False))
        self.in_place(changed)
        self.mean(nn.functional.avg_pool2d(y, 3))
        self.pooled(nn.functional.max_pool2d(y, 2))
        self.image(x.round())
        self.spikes(y.contiguous(memory_format=torch.channels_last).flip(-1))
        self.plus(y + torch.rand(()))


def test_what_is_no_spike_is_called_analog():
    model = Odd().double()
    with spike_driven(model) as inputs:
        model(2 * torch.randn(2, 2, 6, 6, dtype=torch.float64))
    assert {name for name, kinds in inputs.items() if kinds == ('binary',)} == {'pooled', 'spikes'}
    assert {name for name, kinds in inputs.items() if kinds == ('analog',)} == set(model.names) - {'pooled', 'spikes'}


def test_no_trace_also_after_an_error():
    model = nn.Sequential(SpikeLinear(4, 4), LIF())
    with pytest.raises(RuntimeError), spike_driven(model):
        model(torch.rand(2, 5))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    expected = model(torch.rand(2, 4))
    with spike_driven(model) as inputs:
        model(torch.rand(2, 4))
    assert inputs == {'0': ('binary',)} and expected.shape == (2, 4)
