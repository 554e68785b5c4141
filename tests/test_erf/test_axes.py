"""Which outputs are maps: tokens with anything in front, channels, queries, attention matrices, hidden units."""

import logging

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from mmsterf.erf import Noise, st_erf


def brute(model: nn.Module, data, place, output) -> np.ndarray:
    """Mean absolute gradient of the sum over channels of ``output(model)`` at `place`, by autograd alone."""
    maps = []
    for sample in data:
        x = sample[None].float().requires_grad_()
        seen = []
        handle = output(model).register_forward_hook(lambda m, a, y, seen=seen: seen.append(y))
        model(x)
        handle.remove()
        (grad,) = torch.autograd.grad(seen[0][place].sum(), x)
        maps.append(grad.abs().mean((0, 1)).double())
    return torch.stack(maps).mean(0).numpy()


class Attention(nn.Module):
    """Self-attention, with its matrix as the output of a module, or fused."""

    def __init__(self, width: int, fused: bool) -> None:
        super().__init__()
        self.qkv, self.matrix, self.proj, self.fused = (
            nn.Linear(width, 3 * width),
            nn.Identity(),
            nn.Linear(width, width),
            fused,
        )

    def forward(self, x):
        n, length, c = x.shape
        q, k, v = self.qkv(x).reshape(n, length, 3, 2, c // 2).permute(2, 0, 3, 1, 4).unbind(0)
        if self.fused:
            x = F.scaled_dot_product_attention(q, k, v)
        else:
            x = self.matrix((q @ k.transpose(-2, -1)).softmax(-1)) @ v
        return self.proj(x.transpose(1, 2).reshape(n, length, c))


class Block(nn.Module):
    def __init__(self, width: int, fused: bool) -> None:
        super().__init__()
        self.norm1, self.attn, self.norm2 = nn.LayerNorm(width), Attention(width, fused), nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Transformer(nn.Module):
    """Plain vision Transformer with `extra` tokens in front, and a width that is a square."""

    def __init__(self, extra: int, width: int = 64, fused: bool = True) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patch = nn.Conv2d(3, width, 4, 4)
        self.extra = nn.Parameter(torch.randn(1, extra, width))
        self.position = nn.Parameter(torch.randn(1, 36 + extra, width))
        self.blocks, self.norm = nn.Sequential(Block(width, fused), Block(width, fused)), nn.LayerNorm(width)
        self.grid = nn.Identity()

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.extra.expand(len(x), -1, -1), x], 1) + self.position
        x = self.norm(self.blocks(x))
        return self.grid(x[:, self.extra.shape[1] :].transpose(1, 2).unflatten(2, (6, 6)))


@pytest.mark.parametrize('fused', [True, False])
@pytest.mark.parametrize('extra', [0, 1, 2, 5, 13])
def test_tokens_with_any_number_in_front(extra, fused):
    """The number of channels, 64, is a square too: nothing but the graph tells it from a grid."""
    model, data = Transformer(extra, fused=fused), Noise(2, (3, 24, 24))
    names = ['blocks.0', 'blocks.1.attn.proj', 'blocks.1.mlp.0', 'blocks.1.norm1']
    maps = st_erf(model, data, names)
    for name in names:
        assert maps[name].grid == (6, 6) and maps[name].cell == (3, 3), name
        expected = brute(model, data, (0, extra + 21), lambda m, name=name: m.get_submodule(name))
        if not maps[name].cancels:
            np.testing.assert_allclose(
                maps[name].mean[0], expected, rtol=1e-3, atol=1e-6 * expected.max(), err_msg=name
            )
    assert maps['blocks.1.norm1'].cancels and not maps['blocks.0'].cancels
    assert maps['blocks.0'].notes == ()


@pytest.mark.parametrize('extra', [0, 4])
def test_attention_matrices_are_no_maps(extra):
    with pytest.raises(ValueError, match=r"'blocks.0.attn.matrix' has no spatial shape"):
        st_erf(Transformer(extra, fused=False), Noise(1, (3, 24, 24)), 'blocks.0.attn.matrix')


class Decoder(nn.Module):
    """Queries, 36 as a grid of 6 x 6 has, that attend to a map and to each other."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patch, self.queries = nn.Conv2d(3, width, 4, 4), nn.Parameter(torch.randn(1, 36, width))
        self.cross, self.self = (nn.MultiheadAttention(width, 2, batch_first=True) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, 5)

    def forward(self, x):
        memory = self.patch(x).flatten(2).transpose(1, 2)
        q = self.queries.expand(len(x), -1, -1)
        q = self.norm(q + self.cross(q, memory, memory)[0])
        return self.head(q + self.self(q, q, q)[0])


@pytest.mark.parametrize('layer', ['norm', 'head', 'cross:0', 'self', '.'])
def test_queries_are_no_maps(layer):
    with pytest.raises(ValueError, match='not positions'):
        st_erf(Decoder(), Noise(1, (3, 24, 24)), layer)


class Mixer(nn.Module):
    """A token MLP: positions become hidden units, 49 or 36 as a grid has, and positions again."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patch, self.up, self.down, self.out = (
            nn.Conv2d(3, 64, 4, 4),
            nn.Linear(36, 49),
            nn.Linear(49, 36),
            nn.Identity(),
        )

    def forward(self, x):
        x = self.patch(x).flatten(2)
        return self.out((x + self.down(self.up(x).tanh())).transpose(1, 2))


def test_hidden_units_of_a_token_mlp_are_no_map():
    model, data = Mixer(), Noise(2, (3, 24, 24))
    for layer in ('up', 'down'):
        with pytest.raises(ValueError, match=f"'{layer}' has no spatial shape"):
            st_erf(model, data, layer)
    result = st_erf(model, data, 'out')['out']
    np.testing.assert_allclose(result.mean[0], brute(model, data, (0, 21), lambda m: m.out), rtol=1e-4, atol=1e-8)
    assert result.notes == ()


@pytest.mark.parametrize('pool', [nn.AvgPool1d(9), nn.MaxPool1d(3, 2), nn.Conv1d(16, 16, 4, 4)])
def test_runs_of_tokens_are_no_grid(pool):
    model = nn.Sequential(nn.Conv2d(3, 16, 4, 4), nn.Flatten(2), pool)  # as keys of NextViT
    with pytest.raises(ValueError, match="'2' has no spatial shape"):
        st_erf(model, Noise(1, (3, 24, 24)), '2')


class Windows(nn.Module):
    """Tokens of shifted windows and back, as Swin has them."""

    def __init__(self, shift: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.window, self.out, self.shift = nn.Conv2d(3, 16, 2, 2), nn.Linear(16, 16), nn.Identity(), shift
        self.merge = nn.Linear(64, 9)

    def forward(self, x):
        x = self.stem(x).permute(0, 2, 3, 1)
        h, w = x.shape[1:3]
        x = F.pad(x, (0, 0, 0, -w % 4, 0, -h % 4)).roll((-self.shift, -self.shift), (1, 2))
        n, a, b, c = x.shape
        x = x.view(n, a // 4, 4, b // 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 16, c)
        x = self.window(x).softmax(1)
        x = x.view(n, a // 4, b // 4, 4, 4, c).permute(0, 1, 3, 2, 4, 5).reshape(n, a, b, c)
        x = self.out(x.roll((self.shift, self.shift), (1, 2))[:, :h, :w].reshape(n, h * w, c))
        x = x.view(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 4, 2, 5).flatten(3)
        return self.merge(x)


@pytest.mark.parametrize('shift', [0, 2])
@pytest.mark.parametrize('size', [(32, 32), (28, 44)])
def test_windows(shift, size):
    model, data = Windows(shift), Noise(2, (3, *size))
    h, w = size[0] // 2, size[1] // 2
    maps = st_erf(model, data, ['out', '.'])
    assert maps['out'].grid == (h, w) and maps['.'].grid == (h // 2, w // 2)
    expected = brute(model, data, (0, h // 2 * w + w // 2), lambda m: m.out)
    np.testing.assert_allclose(maps['out'].mean[0], expected, rtol=1e-4, atol=1e-9)
    expected = brute(model, data, (0, h // 2 // 2, w // 2 // 2), lambda m: m.merge)
    np.testing.assert_allclose(maps['.'].mean[0], expected, rtol=1e-4, atol=1e-9)
    with pytest.raises(ValueError, match="'window' has no spatial shape"):
        st_erf(model, data, 'window')


class Unrolled(nn.Module):
    """Tokens unit by unit, as Hiera has them, or column by column; then back to a map."""

    def __init__(self, by_columns: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.tokens, self.back, self.by_columns = (
            nn.Conv2d(3, 16, 2, 2),
            nn.Linear(16, 16),
            nn.Identity(),
            by_columns,
        )

    def forward(self, x):
        x = self.stem(x)
        n, c, h, w = x.shape
        if self.by_columns:
            return self.back(self.tokens(x.permute(0, 3, 2, 1).flatten(1, 2)).view(n, w, h, c).permute(0, 3, 2, 1))
        x = x.view(n, c, h // 2, 2, w // 2, 2).permute(0, 3, 5, 2, 4, 1).reshape(n, h * w, c)
        x = self.tokens(x).view(n, 2, 2, h // 2, w // 2, c).permute(0, 3, 1, 4, 2, 5).reshape(n, h, w, c)
        return self.back(x)


@pytest.mark.parametrize('by_columns', [True, False])
def test_tokens_in_another_order_than_row_by_row_are_no_raster(by_columns):
    model, data = Unrolled(by_columns), Noise(1, (3, 16, 24))
    with pytest.raises(ValueError, match="'tokens' has its positions in another order than row by row"):
        st_erf(model, data, 'tokens')
    place = (0, slice(None), 4, 6) if by_columns else (0, 4, 6)
    expected = brute(model, data, place, lambda m: m.back)
    found = st_erf(model, data, 'back')['back']
    assert found.grid == (8, 12) and found.notes == ()
    np.testing.assert_allclose(found.mean[0], expected, rtol=1e-4, atol=1e-9)


def test_channels_last_norm_and_its_channels_first_subclass():
    class Norm2d(nn.LayerNorm):
        def forward(self, x):
            return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    torch.manual_seed(0)
    norm, norm2d = nn.LayerNorm(9), Norm2d(9)
    nn.init.uniform_(norm.weight), nn.init.uniform_(norm2d.weight)
    conv = nn.Conv2d(3, 9, 3, padding=1)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.norm2d = conv, norm, norm2d

        def forward(self, x):
            return self.norm(self.conv(x).permute(0, 2, 3, 1)), self.norm2d(self.conv(x))

    data = Noise(2, (3, 9, 9))
    maps = st_erf(Model(), data, ['norm', 'norm2d'])
    for name, place in (('norm', (0, 4, 4)), ('norm2d', (0, slice(None), 4, 4))):
        expected = brute(Model(), data, place, lambda m, name=name: getattr(m, name))
        np.testing.assert_allclose(maps[name].mean[0], expected, rtol=1e-4, atol=1e-9)


class Opaque(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.flatten(2).transpose(1, 2).clone()

    @staticmethod
    def backward(ctx, grad):
        return grad.transpose(1, 2).unflatten(2, (6, 6))


class Custom(nn.Module):
    """Tokens out of an op that autograd's graph says nothing about."""

    def __init__(self, width: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patch, self.tokens = nn.Conv2d(3, width, 4, 4), nn.Identity()

    def forward(self, x):
        return self.tokens(Opaque.apply(self.patch(x)))


def test_a_guess_says_so_and_how_to_settle_it(caplog):
    caplog.set_level(logging.WARNING, 'mmsterf.erf')  # whatever level the root logger was left at
    data = Noise(1, (3, 24, 24))
    result = st_erf(Custom(16), data, 'tokens')['tokens']
    assert result.grid == (6, 6)
    assert 'is a guess from its shape' in result.notes[0] and "('NLC', 1)" in result.notes[0]
    assert caplog.records[0].levelno == logging.WARNING and caplog.messages == list(result.notes)
    settled = st_erf(Custom(16), data, 'tokens', axes={'tok*': ('NLC', 0)})['tokens']
    assert settled.notes == ()
    np.testing.assert_array_equal(settled.mean, result.mean)
    other = st_erf(Custom(16), data, 'tokens', axes=('NLC', 11))['tokens']
    assert other.grid == (5, 5)


@pytest.mark.parametrize('axes', [('NCHW', 1), ('NLC', -1), ('NLC', 'one'), ('LNC', 1), 'CHW', ('NLC', 1, 2)])
def test_bad_axes(axes):
    with pytest.raises(ValueError, match='axes'):
        st_erf(Custom(16), Noise(1, (3, 24, 24)), 'tokens', axes=axes)


def test_axes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"no axes \('NLC', 2\) with a grid"):
        st_erf(Transformer(1), Noise(1, (3, 24, 24)), 'blocks.0', axes=('NLC', 2))


class SumOfNorms(nn.Module):
    """x + LN(f(x)) on normed x, as in SwinV2: no norm is last, and everything cancels."""

    def __init__(self, channels: int = 8) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.f = nn.Conv2d(3, channels, 3, padding=1), nn.Linear(channels, channels)
        self.norm0, self.norm1, self.drop = nn.LayerNorm(channels), nn.LayerNorm(channels), nn.Dropout()

    def forward(self, x):
        x = self.norm0(self.stem(x).permute(0, 2, 3, 1))
        return self.drop(x + self.norm1(self.f(x)))


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64])
@pytest.mark.filterwarnings('ignore')
def test_cancellation_is_found_whatever_makes_it(dtype, caplog):
    class Shares(nn.Sequential):
        def forward(self, x):
            return super().forward(x).softmax(1)

    caplog.set_level(logging.WARNING, 'mmsterf.erf')
    for model in (SumOfNorms(), Shares(nn.Conv2d(3, 4, 3, padding=1)), Shares(nn.Conv2d(3, 2, 3, padding=1))):
        caplog.clear()
        result = st_erf(model.to(dtype), Noise(2, (3, 9, 9)), '.')['.']
        assert result.cancels
        assert any('cancels over its channels' in m for m in caplog.messages)


def test_gains_that_differ_and_one_channel_do_not_cancel():
    model = SumOfNorms()
    nn.init.uniform_(model.norm1.weight)
    assert not st_erf(model, Noise(2, (3, 9, 9)), '.')['.'].cancels
    assert not st_erf(nn.Conv2d(3, 1, 3), Noise(2, (3, 9, 9)), '.')['.'].cancels


def test_the_layer_in_front_of_a_norm():
    model, data = Transformer(1), Noise(2, (3, 24, 24))
    maps = st_erf(model, data, ['norm', 'blocks.0'], in_front_of_norms=True)
    assert list(maps) == ['blocks', 'blocks.0']
    assert maps['blocks'].notes == ('norm ends in a layer norm: blocks, in front of it, is analysed',)
    np.testing.assert_array_equal(maps['blocks'].mean, st_erf(model, data, 'blocks')['blocks'].mean)
    grid = st_erf(model, data, 'grid', in_front_of_norms=True)
    assert list(grid) == ['blocks'] and not grid['blocks'].cancels


def test_the_layer_in_front_of_a_sum_of_norms():
    model, data = SumOfNorms(), Noise(2, (3, 9, 9))
    maps = st_erf(model, data, '.', in_front_of_norms=True)
    assert list(maps) == ['f'] and not maps['f'].cancels
    assert maps['f'].notes == ('. ends in a layer norm: f, in front of it, is analysed',)

    class PreNorm(SumOfNorms):
        def forward(self, x):
            x = self.norm0(self.stem(x).permute(0, 2, 3, 1))
            return x + self.f(x)

    assert list(st_erf(PreNorm(), data, '.', in_front_of_norms=True)) == ['.']
