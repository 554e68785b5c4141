"""Backbones with LIF neurons over T steps: parity with the public implementation, and what holds for each of them."""

import copy

import pytest
import torch
from mmengine.registry import MODELS

from mmsterf.checkpoint import convert, drop_heads, names_lif, to_published
from mmsterf.models import MetaSDT, MetaSDTv2, QKFormer, SpikeDrivenTransformer, Spikformer
from mmsterf.models.lif_attention import PooledMaskSDSA
from mmsterf.snn import NEURONS, rate, unfold

DIMS = (16, 32, 64, 96)
SMALL = {
    'sdtv2': (MetaSDTv2, dict(arch=dict(embed_dims=DIMS), out_indices=range(5))),
    'sdtv1': (SpikeDrivenTransformer, dict(embed_dims=64, depth=2, out_indices=range(3))),
    'spikformer': (Spikformer, dict(embed_dims=64, depth=2, num_heads=8, out_indices=range(3))),
    'qkformer': (QKFormer, dict(embed_dims=64, depths=(1, 2, 2), num_heads=8)),
}
TENSORS = {
    'sdtv2': lambda: names_lif.meta_sdt_v2(3, DIMS, 4),
    'sdtv1': lambda: names_lif.spike_driven_transformer(3, 64, 2, 4),
    'spikformer': lambda: names_lif.spikformer(3, 64, 2, 4),
    'qkformer': lambda: names_lif.qkformer(3, 64, (1, 2, 2), 4),
}


def build(name: str, **kwargs) -> torch.nn.Module:
    kind, arguments = SMALL[name]
    return kind(**arguments, **kwargs)


def firing(name: str, **kwargs) -> torch.nn.Module:
    """A model whose neurons fire all the way: the running statistics of a fresh one are not those of its maps."""
    model = build(name, **kwargs)
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias, 0.5)
    return model.eval()


@pytest.fixture(params=SMALL)
def name(request):
    return request.param


def test_parity(golden, name):
    data = golden(f'{name}_T4')
    published, state = data.weights(), {}
    shapes = {key: tuple(value.shape) for key, value in published.items() if not key.startswith('head.')}
    tensors = list(TENSORS[name]())
    assert {key: shape for key, _, shape in tensors} == shapes
    for key, ours, _ in tensors:
        if ours:
            state.setdefault(ours, []).append(published[key])
    model = build(name, output='folded').double().eval()
    own = model.state_dict()
    joined = {k: torch.cat(parts) if parts[0].dim() else parts[0] for k, parts in state.items()}
    model.load_state_dict({k: v.unsqueeze(-1) if v.dim() == own[k].dim() - 1 else v for k, v in joined.items()})

    x = data.input().requires_grad_()
    blocks = [key.removeprefix('eval/') for key in data.arrays if key.startswith('eval/')]
    outs = model(x)
    assert len(outs) == len(blocks)
    for block, out in zip(blocks, outs):
        assert data.error(f'eval/{block}', out) < 1e-5
        seed = torch.zeros_like(out)
        unfold(seed, 4)[-1, 0, :, out.shape[2] // 2, out.shape[3] // 2] = 1
        (gradient,) = torch.autograd.grad(out, x, seed, retain_graph=True)
        st_erf = gradient[:, 0].abs().mean(1)
        assert (st_erf.sum((1, 2)) > 0).all()
        assert data.error(f'st_erf/{block}', st_erf) < 1e-5


@pytest.mark.parametrize(
    'name, settings',
    [
        ('plif', dict(neuron=dict(type='PLIF'))),
        ('dvs', dict(in_channels=2, stem_pools=(3, 4), event_mode=True)),
    ],
)
def test_parity_of_sdtv1_variants(golden, name, settings):
    data = golden(f'sdtv1_{name}')
    published = data.weights()
    state, found = convert(drop_heads(published)[0])
    model = SpikeDrivenTransformer(96, 1, time_steps=3, out_indices=(0, 1), output='folded', **settings)
    model.double().eval().load_state_dict(state)
    assert model.out_strides == ((4, 4) if name == 'dvs' else (16, 16))
    x = data.input().requires_grad_()
    for block, out in zip(('patch_embed', 'block.0'), model(x)):
        assert data.error(f'eval/{block}', out) < 1e-5
        seed = torch.zeros_like(out)
        seed[-1, :, out.shape[2] // 2, out.shape[3] // 2] = 1  # of the only image, so the last step
        (gradient,) = torch.autograd.grad(out, x, seed, retain_graph=True)
        assert data.error(f'st_erf/{block}', gradient[:, 0].abs().mean(1)) < 1e-5
    if name == 'plif':
        assert sum(key.endswith('.w') for key in state) == 11 and 'block.0.attn.attn_lif.w' in found.left_out
        back = to_published(state, found.family)
        assert set(drop_heads(published)[0]) - set(back) == set(found.left_out) and len(found.left_out) == 3
        assert all(torch.equal(published[key], value) for key, value in back.items())


def test_spikes_widen_in_event_mode():
    """The golden weights leave the attention of `sdtv1_dvs` silent, so its pools are looked at here."""
    attn = PooledMaskSDSA(8, num_heads=2).eval()
    h, w, half = 4, 5, 4
    q, k, v = ((torch.rand(1, 8, h, w) < p).float() for p in (0.3, 0.05, 0.3))
    y = attn._product(*(part.unflatten(1, (2, half)).flatten(3) for part in attn._maps((q, k, v))))
    assert y.shape == (1, 2, half, h * w)

    def widened(table):
        rows, columns = table.shape
        around = lambda i, n: slice(max(i - 1, 0), min(i + 2, n))  # noqa: E731
        return torch.tensor(
            [[table[around(i, rows), around(j, columns)].max() for j in range(columns)] for i in range(rows)]
        )

    for head in range(2):
        channels = range(head * half, (head + 1) * half)
        keys, values = (
            torch.stack([widened(part[0, c]).flatten() for c in channels], 1) for part in (k, v)
        )  # tokens, c
        mask = (widened(keys * values).sum(0) / 2 >= 0.5).float()  # one step of a LIF neuron, tau 2
        assert 0 < mask.sum() <= half
        queries = torch.stack([q[0, c].flatten() for c in channels], 1)
        assert torch.equal(y[0, head].T, widened(queries * mask))


def test_stem_pools_are_checked():
    with pytest.raises(ValueError, match=r'among 1, 2, 3, 4, got \(0, 5\)'):
        SpikeDrivenTransformer(64, 1, stem_pools=(0, 5))
    with pytest.raises(ValueError, match='multiple of 6, got 64'):
        SpikeDrivenTransformer(64, 1, event_mode=True, num_heads=6)


@pytest.mark.parametrize(
    'model, millions',
    [
        (lambda: MetaSDTv2('15M'), 15.1),
        (lambda: MetaSDTv2('31M'), 31.3),
        (lambda: MetaSDTv2('55M'), 55.3),
        (lambda: Spikformer(384), 16.8),
        (lambda: Spikformer(512), 29.7),
        (lambda: SpikeDrivenTransformer(512), 29.7),
        (lambda: QKFormer(384), 16.5),
    ],
)
def test_published_sizes(model, millions):
    """With the classifier of 1000 classes, as published."""
    with torch.device('meta'):
        model = model()
    classifier = 1001 * model.out_channels[-1]
    assert sum(p.numel() for p in model.parameters()) + classifier == pytest.approx(millions * 1e6, abs=0.06e6)


def test_maps_are_what_the_attributes_say(name):
    model = firing(name)
    x = torch.randn(2, 3, 50, 70)
    outs = model(x)
    for out, stride, channels in zip(outs, model.out_strides, model.out_channels):
        assert out.shape == (2, channels, -(-50 // stride), -(-70 // stride))
    model.output = 'folded'
    folded = model(x)
    assert all(f.shape[0] == 8 and torch.equal(rate(f, 4), out) for f, out in zip(folded, outs))


def test_an_image_is_a_constant_sequence(name):
    model = firing(name)
    x = torch.randn(2, 3, 32, 48)
    outs = model(x)
    assert all(torch.equal(a, b) for a, b in zip(outs, model(x.expand(4, *x.shape))))
    assert all(out.unique().numel() > 2 for out in outs)
    sequence = torch.randn(4, 2, 3, 32, 48)
    assert not torch.equal(model(sequence)[-1], model(sequence.flip(0))[-1])


@pytest.mark.parametrize(('neuron', 'time_steps'), [('LIF', 4), ('LIF', 1), *((n, 3) for n in NEURONS if n != 'LIF')])
def test_nothing_leaks_between_images_batches_and_sizes(name, neuron, time_steps):
    model = firing(name, neuron=dict(type=neuron), time_steps=time_steps)
    inputs = [torch.randn(n, 3, h, w) for n, h, w in ((2, 32, 48), (1, 48, 32), (3, 32, 48), (2, 32, 48))]
    expected = [copy.deepcopy(model)(x)[-1] for x in inputs]
    assert all(torch.equal(model(x)[-1], y) for x, y in zip(inputs, expected))
    model.double()  # where no neuron sits on an edge
    x = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    together = model(x)[-1]
    assert torch.allclose(model(x.flip(0))[-1], together.flip(0))
    assert torch.allclose(model(x[1:2])[-1], together[1:2])


def test_state_dict_is_weights_and_statistics(name):
    model = build(name)
    keys = {key.rpartition('.')[2] for key in model.state_dict()}
    assert keys == {'weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'}
    before = list(model.state_dict())
    model(torch.rand(1, 3, 32, 32))
    assert list(model.state_dict()) == before


@pytest.mark.parametrize('neuron', ['LIF', 'PLIF', 'ILIF'])
def test_every_parameter_gets_a_gradient(name, neuron):
    model = firing(name, neuron=dict(type=neuron), residual_gain=1.0).double().train()
    outs = model(torch.randn(2, 3, 64, 96, dtype=torch.float64))
    assert all(out.isfinite().all() for out in outs)
    sum((out * torch.randn_like(out)).sum() for out in outs).backward()
    for key, p in model.named_parameters():
        assert p.grad is not None and p.grad.isfinite().all() and p.grad.any(), key


def test_one_step(name):
    model = firing(name, time_steps=1)
    x = torch.randn(1, 3, 32, 32)
    out = model(x)[-1]
    assert torch.equal(out, model(x[None])[-1]) and out.shape == (1, model.out_channels[-1], 2, 2)


@pytest.mark.parametrize('neuron', sorted(NEURONS))
def test_any_neuron(name, neuron):
    model = firing(name, neuron=dict(type=neuron), time_steps=2)
    assert {m.time_steps for m in model.modules() if isinstance(m, tuple(NEURONS.values()))} == {2}
    assert model(torch.randn(1, 3, 32, 32))[-1].isfinite().all()


def test_recomputed_blocks_are_the_same(name):
    model = firing(name, drop_path_rate=0.2).train()
    other = copy.deepcopy(model)
    other.with_cp = True
    x = torch.randn(2, 3, 64, 64)
    for m in (model, other):
        torch.manual_seed(0)
        m(x)[-1].sum().backward()
    for (key, p), q in zip(model.named_parameters(), other.parameters()):
        assert torch.equal(p.grad, q.grad), key
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), other.buffers()))


def test_frozen_parts_stay_in_evaluation_mode(name):
    model = build(name, frozen_stages=2, norm_eval=True).train()
    assert not any(m.training for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d))
    frozen = {id(p) for stage in model._stages()[:2] for module in stage for p in module.parameters()}
    assert frozen and all(p.requires_grad != (id(p) in frozen) for p in model.parameters())


def test_configs_reach_it(name):
    kind, arguments = SMALL[name]
    assert type(MODELS.build(dict(type=f'mmsterf.{kind.__name__}', **arguments))) is kind


def test_errors_name_the_input(name):
    model = build(name)
    with pytest.raises(ValueError, match=r'time_steps=4, got \(3, 1, 3, 32, 32\)'):
        model(torch.rand(3, 1, 3, 32, 32))
    with pytest.raises(ValueError, match='at least 16x16'):
        model(torch.rand(1, 3, 8, 32))
    with pytest.raises(ValueError, match="output must be one of rate, folded, got 'mean'"):
        build(name, output='mean')
    with pytest.raises(ValueError, match='must agree, got 2 and 4'):
        build(name, neuron=dict(type='LIF', time_steps=2))
    with pytest.raises(ValueError, match='frozen_stages must be'):
        build(name, frozen_stages=9)
    kind, arguments = SMALL[name]
    with pytest.raises(ValueError, match='out_indices must be'):
        kind(**{**arguments, 'out_indices': (7,)})


def test_sizes_are_named():
    with pytest.raises(ValueError, match=r"one of 15M, 31M, 55M or dict.*'tiny'"):
        MetaSDTv2('tiny')
    with pytest.raises(ValueError, match='multiple of num_heads=6, got 64'):
        Spikformer(64, 1, num_heads=6)
    with pytest.raises(ValueError, match=r'embed_dims of SpikeDrivenTransformer must be .*multiple of 8, got 60'):
        SpikeDrivenTransformer(60)
    with pytest.raises(ValueError, match=r'3 positive integers, got \(1, 2\)'):
        QKFormer(64, depths=(1, 2), num_heads=8)


@pytest.mark.parametrize('kind, arch, heads', [
    (QKFormer, '10-384', 6), (QKFormer, '10-512', 8), (QKFormer, '10-768', 12),
    (Spikformer, '8-384', 8), (Spikformer, '8-768', 8),
])  # fmt: skip
def test_published_names_have_their_heads(kind, arch, heads):
    """Weights of a published file fit any number of heads: with a wrong one the features are wrong without a word."""
    depth, dims = map(int, arch.split('-'))
    with torch.device('meta'):
        named = kind(arch=arch)
        by_size = kind(dims, (1, 2, 7)) if kind is QKFormer else kind(dims, depth)
    for model in (named, by_size):
        attention = [m for m in model.modules() if hasattr(m, 'num_heads') and hasattr(m, 'qkv')]
        assert len(attention) == depth and {m.num_heads for m in attention} == {heads}
        assert model.out_channels[-1] == dims


def test_sizes_that_are_not_published_say_their_heads():
    with pytest.raises(
        ValueError, match=r'embed_dims=64, depths=\(1, 1, 1\) is no published size, so it needs num_heads'
    ):
        QKFormer(64, (1, 1, 1))
    with pytest.raises(ValueError, match=r'Spikformer with embed_dims=384, depth=4 .* needs num_heads'):
        Spikformer(384, 4)
    with pytest.raises(ValueError, match="arch of QKFormer must be one of 10-384, 10-512, 10-768, got '10-385'"):
        QKFormer(arch='10-385')
    with pytest.raises(ValueError, match="num_heads of QKFormer is 6 for arch='10-384', got 8"):
        QKFormer(arch='10-384', num_heads=8)
    with torch.device('meta'):
        assert SpikeDrivenTransformer(arch='8-768').out_channels == (768,)


def test_meta_sdt_v3_over_time():
    model = MetaSDT(dict(embed_dims=DIMS), time_steps=2).eval()
    x = torch.randn(1, 3, 32, 32)
    assert torch.equal(model(x)[-1], model(x.expand(2, *x.shape))[-1])
