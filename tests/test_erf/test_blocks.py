"""Gradients that know where they are zero: equal to full ones, and never given to what cannot take them."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import nn
from torch.autograd.graph import get_gradient_edge

from mmsterf.erf import Noise, block_ops, blocks, st_erf
from mmsterf.erf.blocks import Block, dense, guard, shrink

torch.manual_seed(0)


def windows(x):
    """Rows of 4 x 4 windows of 8 channels, shifted, and back."""

    def run(f):
        n, c, h, w = x.shape
        y = torch.roll(x.permute(0, 2, 3, 1), (-2, -2), (1, 2)).reshape(n, h // 4, 4, w // 4, 4, c)
        y = f(y.permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, c))
        y = y.view(n, h // 4, w // 4, 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        return torch.roll(y, (2, 2), (1, 2)).permute(0, 3, 1, 2)

    return run


def attend(y):
    return (y @ y.transpose(1, 2)).softmax(-1) @ y


def fused(y):
    y = y.unsqueeze(1)
    return F.scaled_dot_product_attention(y, y, y).squeeze(1)


conv = nn.Conv2d(8, 8, 3, padding=1)
norm = nn.BatchNorm2d(8).eval()
nn.init.uniform_(norm.weight)
nn.init.uniform_(norm.running_var, 1, 2)
layer_norm, linear = nn.LayerNorm(8), nn.Linear(8, 8)
dilated = nn.Conv2d(8, 8, 3, padding=4, dilation=2, groups=4)
strided, point, even = nn.Conv2d(8, 8, 3, 2, 1), nn.Conv2d(8, 8, 1, 2), nn.Conv2d(8, 8, (4, 1), 2, (1, 0))
for module in (conv, norm, layer_norm, linear, dilated, strided, point, even):
    module.double().requires_grad_(False)

STEPS = {
    'convolution': conv,
    'strided': strided,
    'point': point,
    'even': even,
    'dilated, groups': dilated,
    'norm': norm,
    'residual': lambda x: x + conv(x),
    'two branches': lambda x: strided(x) - 2 * point(x),
    'activations': lambda x: F.gelu(F.silu(F.leaky_relu(F.relu6(x + 1)))) * torch.sigmoid(x) + F.hardswish(x) / 2,
    'squares': lambda x: x**2 / (1 + x.abs()),
    'max pool': lambda x: F.max_pool2d(x, 3, 2, 1),
    'average pool': lambda x: F.avg_pool2d(x, 2),
    'rows and columns': lambda x: layer_norm(x.flatten(2).mT).mT.unflatten(2, x.shape[2:]),
    'linear': lambda x: linear(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2),
    'attention in windows': lambda x: windows(x)(attend),
    'fused attention in windows': lambda x: windows(x)(fused),
    'split and joined': lambda x: (
        torch.cat([x[:, :3], x[:, 3:].roll(1, 2)], 1) + torch.stack(x.split(4, 1), 2).flatten(1, 2)
    ),
    'shuffled': lambda x: F.pixel_unshuffle(F.pixel_shuffle(x.repeat(1, 2, 1, 1), 4), 4).unflatten(1, (2, 8)).sum(1),
    'padded': lambda x: F.pad(x, (1, 2, 3, 0))[..., 3:, 1:-2] + x[..., :1, :].expand_as(x) * 1e-3,
    'nearest': lambda x: (
        F.interpolate(x, scale_factor=2)[..., 1:, 1:] + F.interpolate(x, (63, 63), mode='nearest-exact')
    ),
    'bilinear': lambda x: F.interpolate(x, (24, 40), mode='bilinear'),
    'corners': lambda x: F.interpolate(x, (24, 40), mode='bilinear', align_corners=True),
    'masked': lambda x: x.masked_fill(x > 1, 0) + torch.where(x > 0, x, 0.0) + x.clamp(-1, 1),
    'concatenated slices': lambda x: torch.cat([x[:, :, 0::2], x[:, :, 1::2]], 2),
}


def gradients(y, x):
    """Of the centre of y, as a block and as a full tensor."""
    seed = torch.zeros_like(y)
    values = torch.linspace(-1, 2, y.shape[1], dtype=y.dtype).view(1, -1, 1, 1).repeat(len(y), 1, 1, 1)  # ones cancel
    seed[..., y.shape[-2] // 2, y.shape[-1] // 2] = values[..., 0, 0]
    edge = get_gradient_edge(y)
    guard([edge])
    where = tuple(np.array([s // 2]) if d > 1 else None for d, s in enumerate(y.shape))
    block = Block(values.clone(), blocks.tidy(where, y.shape), y.shape)
    return [torch.autograd.grad([edge], x, [s], retain_graph=True)[0] for s in (block, seed)]


@pytest.mark.parametrize('name', STEPS)
def test_every_operation(name, monkeypatch):
    fell = []
    original = blocks._fall_back
    monkeypatch.setattr(blocks, '_fall_back', lambda func, *a: fell.append(str(func)) or original(func, *a))
    x = torch.randn(2, 8, 32, 32, dtype=torch.double, requires_grad=True)
    block, full = gradients(STEPS[name](x), x)
    assert type(block) is Block and all('pixel' in f for f in fell)  # shuffles are looked through for zeros
    assert block.values.numel() < 0.6 * full.numel()
    torch.testing.assert_close(block.dense(), full, rtol=1e-12, atol=1e-14)
    assert full.abs().max() > 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([n for n in STEPS if n not in ('padded', 'nearest')]), min_size=2, max_size=5),
    st.integers(0, 99),
)
def test_any_chain(names, seed):
    # Two images: of one, torch's batch norm puts gradients of turned axes in the wrong place, in the full gradient.
    x = torch.randn(2, 8, 64, 64, dtype=torch.double, generator=torch.Generator().manual_seed(seed)).requires_grad_()
    y = x
    for name in names:
        if min(y.shape[2:]) >= 8 and not any(s % 4 for s in y.shape[2:]):
            y = STEPS[name](y)
    block, full = gradients(y, x)
    torch.testing.assert_close(dense(block), full, rtol=1e-9, atol=1e-12 * float(full.abs().max()))


def test_what_is_not_known_gets_full_gradients_and_loses_nothing():
    x = torch.randn(1, 8, 32, 32, dtype=torch.double, requires_grad=True)
    y = conv(F.interpolate(conv(F.instance_norm(x) + x.cumsum(3)), scale_factor=2, mode='bicubic', antialias=True))
    block, full = gradients(y, x)
    torch.testing.assert_close(dense(block), full, rtol=1e-9, atol=1e-12)


IN_LAST_PLACE = {
    'group norm': lambda x: F.group_norm(x, 2),
    'instance norm': F.instance_norm,
    'batch norm': norm,
    'average pool': lambda x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
    'adaptive pool': lambda x: F.adaptive_avg_pool2d(x, 9),
    'max pool': lambda x: F.max_pool2d(x, 3, 2, 1),
    'transposed': lambda x: F.conv_transpose2d(x, conv.weight, stride=2),
    'bicubic': lambda x: F.interpolate(x, scale_factor=2, mode='bicubic', antialias=True),
    'nearest': lambda x: F.interpolate(x, scale_factor=2),
    'convolution': conv,
    'local response': lambda x: F.local_response_norm(x, 3),
    'activation': F.mish,
}


@pytest.mark.parametrize('name', IN_LAST_PLACE)
def test_kernels_get_gradients_that_lie_in_memory_as_their_input(name):
    """Behind a layer norm of (N, H, W, C), channels lie last; torch's kernels read the gradient the same way."""
    x = torch.randn(2, 8, 32, 32, dtype=torch.double, requires_grad=True)
    y = layer_norm(conv(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    assert y.is_contiguous(memory_format=torch.channels_last)
    block, full = gradients(IN_LAST_PLACE[name](y), x)
    torch.testing.assert_close(dense(block), full, rtol=1e-9, atol=1e-12)
    assert full.abs().max() > 0


def test_custom_functions_get_plain_tensors():
    seen = []

    class Twice(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return 2 * x

        @staticmethod
        def backward(ctx, grad):
            seen.append(type(grad))
            grad.data_ptr()  # as an extension in C does
            return 2 * grad

    x = torch.randn(1, 8, 64, 64, dtype=torch.double, requires_grad=True)
    block, full = gradients(conv(Twice.apply(conv(x))), x)
    assert seen == [torch.Tensor] * 2
    assert type(block) is Block and block.values.shape == (1, 8, 5, 5)  # found again behind it
    torch.testing.assert_close(block.dense(), full, rtol=1e-12, atol=1e-14)


def test_a_graph_that_refuses_blocks_is_done_with_full_gradients(monkeypatch):
    def refuse(*args):
        raise RuntimeError('no')

    model, data = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3)), Noise(3, (3, 32, 32))
    expected = st_erf(model, data, '2')['2'].mean
    monkeypatch.setattr(block_ops, '_convolution', refuse, raising=False)
    monkeypatch.setattr(blocks, 'run', refuse)
    np.testing.assert_allclose(st_erf(model, data, '2')['2'].mean, expected, rtol=1e-5, atol=1e-9)


def test_positions_of_a_tensor_with_zeros():
    full = torch.zeros(3, 50, 60)
    full[1:3, 7, 5] = 1
    full[1, 9, 30] = 2
    block = shrink(full)
    assert type(block) is Block and [w.tolist() for w in block.where] == [[1, 2], [7, 9], [5, 30]]
    assert torch.equal(block.dense(), full)
    assert shrink(torch.ones(3, 50, 60)).__class__ is torch.Tensor
    nothing = shrink(torch.zeros(3, 50, 60))
    assert nothing.values.numel() == 1 and not nothing.dense().any()


def test_the_support_is_that_of_the_receptive_field():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 5, 2, padding=2))
    result = st_erf(model, Noise(8, (3, 64, 64)), '2')['2'].mean[0]
    rows, columns = np.nonzero(result)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (29, 35, 29, 35)
