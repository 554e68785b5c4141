"""Theoretical fields: published sizes, true gradients inside them, and no field where an op is global."""

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from torch import nn
from torch.autograd.graph import get_gradient_edge

from mmsterf.erf.fields import field_of
from mmsterf.erf.lineage import Lineage


def field(model, size, cell=None, device='meta', channels=3):
    """Field of the output's centre, or of `cell`, and the gradient of that cell if it is computed."""
    x = torch.rand(1, channels, *size, dtype=torch.double, device=device, requires_grad=True)
    y = model(x)
    cell = cell or (y.shape[2] // 2, y.shape[3] // 2)
    found = field_of(Lineage(x), [get_gradient_edge(y)], cell)
    grad = None if device == 'meta' else gradient(y, cell, x)
    return found, grad


def gradient(y, cell, x):
    """Of one cell; different weights for the channels, which norms and softmaxes would cancel."""
    return torch.autograd.grad((y[..., cell[0], cell[1]] * torch.linspace(-1, 2, y.shape[1])).sum(), x)[0]


def frozen(module):
    return module.double().eval().requires_grad_(False)


def vgg16():
    layers, channels = [], 3
    for width, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        for _ in range(depth):
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def alexnet():
    return nn.Sequential(
        nn.Conv2d(3, 64, 11, 4), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, padding=2), nn.MaxPool2d(3, 2),
        nn.Conv2d(192, 384, 3, padding=1), nn.Conv2d(384, 384, 3, padding=1), nn.Conv2d(384, 256, 3, padding=1),
        nn.MaxPool2d(3, 2),
    )  # fmt: skip


def resnet(depth):
    """Strides in the first convolution of a block, as in the first version."""
    from mmdet.models.backbones import ResNet

    model = ResNet(depth, style='caffe')

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = model

        def forward(self, x):
            return self.net(x)[-1]

    return Last()


@pytest.mark.parametrize(
    ('make', 'size', 'stride'),
    [
        (alexnet, 195, 32),
        (vgg16, 212, 32),
        (lambda: resnet(50), 483, 32),
        (lambda: resnet(101), 1027, 32),
        (lambda: resnet(152), 1507, 32),
    ],
)
def test_published_fields(make, size, stride):
    """Araujo et al., "Computing Receptive Fields of Convolutional Neural Networks", Distill 2019."""
    with torch.device('meta'):
        model = make()
    found, _ = field(frozen(model), (256, 320))
    assert found.size == (size, size) and found.stride == (stride, stride) and found.unit == (stride, stride)


torch.manual_seed(0)
C = 4
conv, wide, norm = nn.Conv2d(C, C, 3, padding=1), nn.Conv2d(C, C, (5, 1), padding=(2, 0)), nn.BatchNorm2d(C)
strided, point, even = nn.Conv2d(C, C, 3, 2, 1), nn.Conv2d(C, C, 1, 2), nn.Conv2d(C, C, 2, 2)
dilated, up, free = nn.Conv2d(C, C, 3, 1, 2, 2), nn.ConvTranspose2d(C, C, 4, 2, 1), nn.Conv2d(C, C, 3)
linear, layer_norm = nn.Linear(C, C), nn.LayerNorm(C)
for module in (conv, wide, norm, strided, point, even, dilated, up, free, linear, layer_norm):
    frozen(module)

LOCAL = {
    'convolution': conv,
    'without padding': free,
    'wide': wide,
    'dilated': dilated,
    'norm': norm,
    'strided': strided,
    'strided branches': lambda x: torch.tanh(strided(x) + point(x)),
    'patches': even,
    'residual': lambda x: x + conv(F.gelu(x)),
    'transposed': up,
    'max pool': lambda x: F.max_pool2d(x, 3, 2, 1),
    'average pool': lambda x: F.avg_pool2d(x, 2, 2, ceil_mode=True),
    'nearest': lambda x: F.interpolate(x, scale_factor=2) * 0.5,
    'bilinear': lambda x: F.interpolate(x, (4 * x.shape[2], 2 * x.shape[3]), mode='bilinear'),
    'linear, tokens': lambda x: layer_norm(linear(x.flatten(2).mT)).mT.unflatten(2, x.shape[2:]),
    'channels last': lambda x: linear(x.permute(0, 2, 3, 1)).softmax(-1).permute(0, 3, 1, 2),
    'split and joined': lambda x: torch.cat([b.sigmoid() for b in x.split([1, 3], 1)][::-1], 1),
    'stacked': lambda x: torch.stack([x, conv(x)]).mean(0) + x.amax(1, keepdim=True),
    'focus': lambda x: (x[..., ::2, ::2] + x[..., 1::2, 1::2]) if not (x.shape[2] % 2 or x.shape[3] % 2) else x,
    'padded': lambda x: conv(F.pad(x, (1, 2, 3, 0))),
    'down and up': lambda x: (
        x + F.interpolate(strided(x), x.shape[2:]) if not (x.shape[2] % 2 or x.shape[3] % 2) else x
    ),
}


def chain(names):
    """The ops that run on maps of a sensible size."""

    def run(x):
        for name in names:
            shrinks = not any(s in name for s in ('nearest', 'bilinear', 'transposed'))
            if (min(x.shape[2:]) > 6) if shrinks else (max(x.shape[2:]) < 100):
                x = LOCAL[name](x)
        return x

    return run


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(list(LOCAL)), min_size=1, max_size=6),
    st.tuples(st.integers(20, 60), st.integers(20, 60)),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_true_gradients_are_inside(names, size, place):
    model = chain(names)
    # two images: of one, torch's batch norm puts gradients of turned axes in the wrong place
    x = torch.rand(2, C, *size, dtype=torch.double, requires_grad=True)
    y = model(x)
    cell = tuple(min(int(p * n), n - 1) for p, n in zip(place, y.shape[2:]))
    found = field_of(Lineage(x), [get_gradient_edge(y)], cell)
    grad = gradient(y, cell, x)
    if found is None:  # maps of odd sizes cannot be doubled back
        assert {'down and up', 'transposed', 'nearest', 'bilinear', 'focus'} & set(names)
        return
    rows, columns = (grad[0].abs().amax((0, d)).nonzero() for d in (2, 1))
    top, left, bottom, right = found.box
    assert found.grid == tuple(y.shape[2:])
    if len(rows):
        assert top <= rows.min() and rows.max() < bottom and left <= columns.min() and columns.max() < right


@pytest.mark.parametrize('name', LOCAL)
def test_the_box_is_tight_in_the_middle(name):
    model = chain([name])
    found, grad = field(model, (32, 32), device='cpu', channels=C)
    rows, columns = (grad[0].abs().amax((0, d)).nonzero() for d in (2, 1))
    loose = name in ('max pool', 'down and up')  # one of a window gets the gradient; two fields, joined
    spans = rows.max() - rows.min() + 1, columns.max() - columns.min() + 1
    assert found.size == spans or (loose and all(a >= b > 0 for a, b in zip(found.size, spans)))


attention = lambda y: F.scaled_dot_product_attention(y, y, y)  # noqa: E731
GLOBAL = {
    'attention': lambda x: attention(x.flatten(2).mT).mT.unflatten(2, x.shape[2:]),
    'products of tokens': lambda x: (lambda y: y @ (y.mT @ y))(x.flatten(2).mT).mT.unflatten(2, x.shape[2:]),
    'attention over rows': lambda x: attention(x.permute(0, 1, 3, 2)).permute(0, 1, 3, 2),
    'squeeze and excitation': lambda x: x * F.adaptive_avg_pool2d(x, 1).sigmoid(),
    'mean': lambda x: x - x.mean((2, 3), keepdim=True),
    'maximum': lambda x: x / x.amax((1, 2, 3), keepdim=True),
    'group norm': lambda x: F.group_norm(x, 2),
    'instance norm': lambda x: F.instance_norm(x),
    'batch statistics': lambda x: F.batch_norm(x, None, None, training=True),
    'layer norm over the map': lambda x: F.layer_norm(x, x.shape[1:]),
    'softmax over columns': lambda x: x.softmax(3),
    'linear over columns': lambda x: x @ torch.ones(32, 32, dtype=torch.double, device=x.device),
    'rolled': lambda x: x.roll(3, 2),
    'turned': lambda x: x + x.transpose(2, 3),
    'flipped': lambda x: x.flip(3),
    'raster': lambda x: x.reshape(1, C * 2, 32, 16),
    'shuffled': lambda x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2),
    'resized by an odd factor': lambda x: F.interpolate(x, (48, 48)),
    'corners': lambda x: F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=True),
    'warped': lambda x: F.grid_sample(
        x, F.affine_grid(torch.eye(2, 3)[None].to(x), x.shape, False), align_corners=False
    ),
    'one-dimensional': lambda x: F.conv1d(x.flatten(2), torch.ones(C, C, 3).to(x), padding=1).unflatten(2, (32, 32)),
    'cumulative': lambda x: x.cumsum(2),
    'dynamic weights': lambda x: F.conv2d(x, x.mean((2, 3)).view(1, C, 1, 1).expand(C, C, 1, 1)),
    'reflected': lambda x: F.pad(x, (1, 1, 1, 1), mode='reflect'),
    'dense': lambda x: F.linear(x.flatten(1), torch.ones(64, C * 32 * 32).to(x)).view(1, 1, 8, 8),
    'rows joined': lambda x: torch.cat([x[:, :, 16:], x[:, :, :16]], 2),
}


@pytest.mark.parametrize('name', GLOBAL)
def test_what_is_global_or_not_known_has_no_field(name):
    def model(x):
        return conv.to(x.device)(GLOBAL[name](x))

    if name in ('raster', 'dense'):
        model = GLOBAL[name]
    found, _ = field(model, (32, 32), device='cpu', channels=C)
    assert found is None


def test_custom_functions_are_not_known_unless_they_are_neurons():
    class Mixing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x + x.sum((2, 3), keepdim=True)

        @staticmethod
        def backward(ctx, grad):
            return grad + grad.sum((2, 3), keepdim=True)

    from mmsterf.snn.neurons import ILIF

    assert field(lambda x: conv(Mixing.apply(x)), (32, 32), device='cpu', channels=C)[0] is None
    for steps in (1, 2):
        neuron = ILIF(time_steps=steps)
        found, _ = field(
            lambda x, n=neuron, t=steps: conv(n(x.expand(t, C, 32, 32))), (32, 32), device='cpu', channels=C
        )
        assert found.size == (3, 3)


def test_maps_of_two_strides_have_no_field():
    found, _ = field(lambda x: strided(x) + x[..., :16, :16], (32, 32), device='cpu', channels=C)
    assert found is None
