"""Operations counted against loops by hand, and against spikingjelly's counter on expanded counts."""

import itertools
import math

import pytest
import torch
from spikingjelly.activation_based.op_counter import DispatchCounterMode, SynOpCounter
from torch import nn

from mmsterf.analysis import Cost, OperationCounter, totals
from mmsterf.models.backbones import MetaSDT, Spikformer
from mmsterf.models.mixers import RasterLinear
from mmsterf.snn import ILIF, LIF, SpikeConv2d, SpikeConvTranspose2d, SpikeLinear
from mmsterf.snn.spike_driven import spike_driven


def count(model, *inputs):
    with torch.no_grad(), OperationCounter(model) as counter:
        model(*inputs)
    return counter.layers


def counts(*shape):
    return torch.randint(0, 5, shape).float()


def loop_conv(x, conv):
    """(ACs, MACs) of a convolution, one output and tap after another; padding is outside."""
    n, _, h, w = x.shape
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = conv.kernel_size, conv.stride, conv.padding, conv.dilation
    out_h, out_w = ((s + 2 * p - d * (k - 1) - 1) // st + 1
                    for s, p, d, k, st in ((h, ph, dh, kh, sh), (w, pw, dw, kw, sw)))  # fmt: skip
    acs = macs = 0
    for out, i, j in itertools.product(range(conv.out_channels), range(out_h), range(out_w)):
        width = conv.in_channels // conv.groups
        first = out // (conv.out_channels // conv.groups) * width
        for c, a, b in itertools.product(range(first, first + width), range(kh), range(kw)):
            row, column = i * sh - ph + a * dh, j * sw - pw + b * dw
            if 0 <= row < h and 0 <= column < w:
                macs += n
                acs += float(x[:, c, row, column].sum())
    return acs, macs


def loop_deconv(x, conv):
    """The same of a transposed convolution: every pixel writes to a patch, of which the border is cut off."""
    n, channels, h, w = x.shape
    (kh, kw), (sh, sw), (ph, pw), (oh, ow) = conv.kernel_size, conv.stride, conv.padding, conv.output_padding
    out_h, out_w = (h - 1) * sh - 2 * ph + kh + oh, (w - 1) * sw - 2 * pw + kw + ow
    acs = macs = 0
    for c, i, j, a, b in itertools.product(range(channels), range(h), range(w), range(kh), range(kw)):
        if 0 <= i * sh - ph + a < out_h and 0 <= j * sw - pw + b < out_w:
            macs += n * conv.out_channels // conv.groups
            acs += float(x[:, c, i, j].sum()) * conv.out_channels // conv.groups
    return acs, macs


CONVS = [
    {},
    {'padding': 1},
    {'padding': (0, 2), 'stride': (2, 3)},
    {'padding': 2, 'dilation': 2, 'groups': 2},
    {'padding': 1, 'stride': 2, 'groups': 4},
]


@pytest.mark.parametrize('kwargs', CONVS, ids=str)
def test_convolution(kwargs):
    model = nn.Sequential(SpikeConv2d(4, 8, 3, **kwargs))
    x = counts(2, 4, 6, 7)
    layer = count(model, x)['0']
    assert (layer.acs, layer.ann_macs) == loop_conv(x, model[0])
    assert layer.macs == 0 and layer.params == model[0].weight.numel() + 8
    assert layer.rate == pytest.approx(float(x.mean()) / 4)


DECONVS = [
    {'stride': 2},
    {'stride': (2, 1), 'padding': 1, 'groups': 2},
    {'stride': 3, 'padding': 1, 'output_padding': 2},
]


@pytest.mark.parametrize('kwargs', DECONVS, ids=str)
def test_transposed_convolution(kwargs):
    model = nn.Sequential(SpikeConvTranspose2d(4, 6, 3, **kwargs))
    x = counts(2, 4, 3, 4)
    layer = count(model, x)['0']
    assert (layer.acs, layer.ann_macs) == loop_deconv(x, model[0])


def test_hand_numbers():
    """One spike in the corner, at the edge, in the middle of 3 x 3 pixels meets 4, 6, 9 taps; 2 channels out."""
    model = nn.Sequential(SpikeConv2d(1, 2, 3, padding=1))
    for place, taps in (((0, 0), 4), ((0, 1), 6), ((1, 1), 9)):
        x = torch.zeros(1, 1, 3, 3)
        x[0, 0][place] = 3
        layer = count(model, x)['0']
        assert (layer.acs, layer.ann_macs, layer.spikes, layer.slots) == (3 * taps * 2, 49 * 2, 3, 36)
        assert layer.energy(Cost()) == pytest.approx(3 * taps * 2 * 0.9)
        assert layer.ann_energy(Cost(mac=2.0)) == 49 * 2 * 2.0


@pytest.mark.parametrize('build', [SpikeLinear, RasterLinear])
def test_linear(build):
    shape = (2, 3, 4, 5) if build is RasterLinear else (2, 7, 3)
    x = counts(*shape)
    layer = count(nn.Sequential(build(3, 6)), x)['0']
    assert layer.acs == 6 * float(x.sum())
    assert layer.ann_macs == 6 * x.numel()


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.q, self.k, self.v = (ILIF(normalize=True) for _ in range(3))

    def forward(self, q, k, v):
        return (self.v(v) @ self.k(k).transpose(-1, -2)) @ self.q(q)


def test_attention_products():
    q, k, v = counts(2, 1, 3, 5), counts(2, 1, 3, 5), counts(2, 1, 4, 5)
    layers = count(Attention(), q, k, v)
    both, last = layers['product1'], layers['product2']
    pairs = sum(float(k[n, 0, i, p] * v[n, 0, j, p]) for n, i, j, p in itertools.product(*map(range, (2, 3, 4, 5))))
    assert both.acs == pairs  # every spike of k lets every spike of v at its pixel through
    assert last.acs == 4 * float(q.sum())  # every spike of q adds one number for each channel of v
    assert both.ann_macs == last.ann_macs == 2 * 3 * 4 * 5
    assert both.inputs == ('integer', 'integer') and last.inputs == ('integer', 'integer')
    assert last.rate == pytest.approx(float(q.mean()) / 4)


@pytest.mark.parametrize('build', [
    lambda: MetaSDT({'embed_dims': (8, 16, 16, 16)}, {'type': 'SRB'}, mlp_ratio=1, residual_gain=1),
    lambda: Spikformer(16, depth=1, num_heads=8, time_steps=2),
], ids=['MetaSDT', 'Spikformer'])  # fmt: skip
def test_spikingjelly_counts_the_same_once_counts_are_expanded(build):
    model = build().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.constant_(module.running_var, 0.05)
            nn.init.normal_(module.bias, 0.3)
    x = torch.randn(2, 3, 32, 32)
    layers = count(model, x)
    theirs = SynOpCounter()
    with torch.no_grad(), spike_driven(model), DispatchCounterMode([theirs]):
        model(x)
    assert totals(layers).acs == theirs.get_total() > 10000


def test_time_steps_and_the_equal_ann():
    """The ANN runs once; over 3 steps an analog layer costs 3 times its MACs, a spiking one its spikes."""

    class Model(nn.Module):
        time_steps = 3

        def __init__(self):
            super().__init__()
            self.stem, self.neuron, self.out = nn.Linear(2, 4), LIF(time_steps=3), nn.Linear(4, 5)

        def forward(self, x):
            self.spikes = self.neuron(self.stem(x))
            return self.out(self.spikes)

    model = Model()
    nn.init.uniform_(model.stem.weight, 1, 4)
    layers = count(model, torch.rand(3 * 1, 2))
    stem, out = layers['stem'], layers['out']
    assert (stem.ann_macs, stem.macs, stem.acs) == (8, 24, 0) and math.isnan(stem.rate)
    assert (out.ann_macs, out.macs, out.acs) == (20, 0, 5 * float(model.spikes.sum()))
    total = totals(layers)
    assert (total.params, total.ann_macs) == (12 + 25, 28)
    assert total.energy(Cost(10, 1)) == 240 + out.acs


def test_calls_add_up_and_nothing_is_an_empty_batch():
    layer = nn.Sequential(SpikeConv2d(2, 3, 3, padding=1))
    x = counts(1, 2, 4, 4)
    with torch.no_grad(), OperationCounter(layer) as counter:
        layer(x)
        once = counter.layers['0'].acs
        layer(x[:0])
        layer(x)
    assert counter.layers['0'].acs == 2 * once and counter.layers['0'].inputs == ('integer',)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in layer.modules())


def test_plain_networks_do_macs_alone():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))
    layers = count(model, torch.rand(1, 3, 4, 4))
    assert [layer.inputs for layer in layers.values()] == [('analog',)] * 2
    total = totals(layers)
    assert total.acs == 0 and total.macs == total.ann_macs == 100 * 3 * 4 + 128
