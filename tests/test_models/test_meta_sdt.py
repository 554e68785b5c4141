"""MetaSDT by itself: sizes, options, gradients, invariances."""

import copy

import pytest
import torch
from mmengine.registry import DefaultScope
from torch import nn

from mmsterf.models import SDSA, MetaSDT, MLPixer
from mmsterf.registry import MODELS
from mmsterf.snn import ILIF

SMALL = dict(embed_dims=(8, 16, 24, 32))
MIXERS = [
    dict(type='ConvMixer'),
    dict(type='MLPixer', layout='raster'),
    dict(type='MLPixer', layout='pointwise'),
    dict(type='SRB', layout='raster'),
    dict(type='SRB', layout='pointwise'),
]
IDS = ['-'.join(mixer.values()) for mixer in MIXERS]

PARAMETERS = {
    'nano': (2.573048, 2.230736, 2.609296, 2.401496),
    'tiny': (4.912608, 4.304640, 5.037568, 4.608096),
    'small': (9.782112, 8.415504, 9.856080, 9.098016),
    'base': (18.626504, 16.198152, 18.972904, 17.411272),
}


@pytest.mark.parametrize('arch', PARAMETERS)
def test_parameters_are_the_published_ones(arch):
    variants = (('ConvMixer', 4), ('MLPixer', 4), ('MLPixer', 6), ('SRB', 4))
    with torch.device('meta'):
        models = [MetaSDT(arch, mixer=dict(type=mixer), mlp_ratio=ratio) for mixer, ratio in variants]
    assert tuple(sum(p.numel() for p in model.parameters()) / 1e6 for model in models) == PARAMETERS[arch]


@pytest.mark.parametrize('size', [(16, 16), (17, 31), (64, 48)])
def test_maps_of_any_size(size):
    model = MetaSDT(SMALL, out_indices=range(5)).eval()
    outs = model(torch.randn(1, 3, *size))
    assert model.out_strides == (2, 4, 8, 16, 16) and model.out_channels == (4, 8, 16, 24, 32)
    for out, stride, channels in zip(outs, model.out_strides, model.out_channels):
        assert out.shape == (1, channels, *(-(-side // stride) for side in size))


def test_out_indices_choose_maps():
    everything = MetaSDT(SMALL, out_indices=range(5)).eval()
    some = MetaSDT(SMALL, out_indices=(0, 3)).eval()
    some.load_state_dict(everything.state_dict())
    x = torch.randn(1, 3, 32, 32)
    chosen = everything(x)
    assert some.out_strides == (2, 16)
    for ours, theirs in zip(some(x), (chosen[0], chosen[3])):
        assert torch.equal(ours, theirs)


def firing(mixer: dict) -> MetaSDT:
    """A model whose neurons all fire: fresh raster mixers and attention start below the first count."""
    model = MetaSDT(SMALL, mixer=mixer, out_indices=range(5)).double()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.weight[0] == 1:  # not at the end of a branch
            nn.init.ones_(module.bias)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=2 * module.in_features**-0.5)
    return model


@pytest.mark.parametrize('mixer', MIXERS, ids=IDS)
def test_every_parameter_gets_a_gradient(mixer):
    model = firing(mixer).float()
    outs = model(torch.randn(2, 3, 96, 64))
    assert all(out.isfinite().all() for out in outs)
    sum(out.square().mean() for out in outs).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    # Biases in front of a batch norm have none; everything else must.
    idle = [name for name, p in model.named_parameters() if not p.grad.any()]
    assert all(name.endswith('.bias') for name in idle), idle


@pytest.mark.parametrize('mixer', MIXERS, ids=IDS)
def test_samples_do_not_see_each_other(mixer):
    """In evaluation mode maps and gradients of an image are those of the image alone, whatever the batch and order."""
    model = firing(mixer).eval()

    def maps(x):
        x = x.clone().requires_grad_()
        outs = model(x)
        (grad,) = torch.autograd.grad(sum(out.sum() for out in outs), x)
        return [*(out.detach() for out in outs), grad]

    x = torch.randn(3, 3, 32, 48, dtype=torch.float64)
    together, reversed_, alone = maps(x), maps(x.flip(0)), maps(x[1:2])
    for a, b, c in zip(together, reversed_, alone):
        assert torch.allclose(a, b.flip(0), atol=1e-9)
        assert torch.allclose(a[1:2], c, atol=1e-9)
    assert together[-1].abs().max() > 0


@pytest.mark.parametrize('layout', ['raster', 'pointwise'])
def test_layouts_of_mlpixer(layout):
    """Pointwise: what a pixel becomes depends on that pixel. Raster: a row of C pixels of one channel is mixed."""
    channels, height, width = 4, 3, 8
    mixer = MLPixer(channels, 2, layout=layout).double().eval()
    x = torch.rand(1, channels, height, width, dtype=torch.float64, requires_grad=True)
    seen = torch.autograd.grad(mixer(4 * x)[0, :, 1, 2].sum(), x)[0][0].abs().sum(0) > 0
    if layout == 'pointwise':
        assert seen[1, 2] and seen.sum() == 1
    else:
        # By hand: the flat buffer in rows of C through the first matrix, and of 2C through the second.
        spikes = ILIF()(4 * x.detach()).reshape(-1, channels) @ mixer.fc1.weight.T
        expected = ILIF()(spikes.reshape(-1, 2 * channels)) @ mixer.fc2.weight.T
        assert torch.allclose(mixer(4 * x).flatten(), expected.flatten())
        assert seen.sum() > 1


def test_attention_grouping_is_exact():
    """q (k^T v) equals (q k^T) v bit for bit in float32: spikes are multiples of 1/4."""
    attention = SDSA(64).eval()
    nn.init.uniform_(attention.norm.bias, 0, 3)
    caught = {}
    attention.spike.register_forward_hook(lambda _, __, out: caught.update(qkv=out))
    attention.proj.register_forward_hook(lambda _, inputs, __: caught.update(y=inputs[0]))
    attention(3 * torch.randn(2, 64, 24, 36))
    q, k, v = (part.unflatten(1, (8, -1)).flatten(3) for part in caught['qkv'].split(attention.widths, dim=1))
    quadratic = v @ (k.transpose(-2, -1) @ q) * attention.scale
    assert torch.equal(quadratic.flatten(1, 2).unflatten(-1, (24, 36)), caught['y'])


def _product(scale, size):
    """Product of an attention in which every neuron fires its most, 4 counts of 1/4."""
    attention = SDSA(64, scale=scale).eval()
    nn.init.constant_(attention.norm.bias, 100.0)
    caught = []
    attention.proj.register_forward_hook(lambda _, inputs, __: caught.append(inputs[0]))
    attention(torch.zeros(1, 64, *size))
    assert caught[0].unique().numel() == 1
    return caught[0].flatten()[0].item()


@pytest.mark.parametrize('size', [(14, 14), (28, 14), (7, 7)])
def test_scales_of_attention(size):
    """Eight channels of a head and all pixels add up: 8 HW times the scale."""
    total = 8 * size[0] * size[1]
    assert _product('published', size) == pytest.approx(total * 2 / 8**0.5, rel=1e-6)
    assert _product('unscaled', size) == pytest.approx(total / 8**0.5, rel=1e-6)
    assert _product(0.25, size) == pytest.approx(total / 4, rel=1e-6)
    assert _product('tokens', size) == pytest.approx(8 * 196 * 2 / 8**0.5, rel=1e-6)


def test_attention_scale_reaches_every_attention():
    by_name = {
        scale: {m.scale for m in MetaSDT(SMALL, attention_scale=scale).modules() if isinstance(m, SDSA)}
        for scale in ('published', 'unscaled', 0.5)
    }
    assert by_name['published'] == {2 * 3**-0.5, 2 * 4**-0.5} and by_name[0.5] == {0.5}
    assert by_name['unscaled'] == {3**-0.5, 4**-0.5}
    tokens = [m for m in MetaSDT(SMALL, attention_scale='tokens').modules() if isinstance(m, SDSA)]
    assert len(tokens) == 8 and all(m.per_token for m in tokens)


def test_attention_does_not_overflow_in_half_precision():
    attention = SDSA(64).eval()
    nn.init.constant_(attention.norm.bias, 4)
    x = 4 * torch.ones(1, 64, 100, 150)
    with torch.autocast('cpu', torch.float16):
        assert attention(x).isfinite().all()


@pytest.mark.parametrize('mixer', MIXERS[:1] + MIXERS[1:4:2], ids=['ConvMixer', 'MLPixer', 'SRB'])
@pytest.mark.parametrize('arch', ['nano', 'tiny', 'small', 'base'])
def test_fresh_gradients_neither_vanish_nor_explode(arch, mixer):
    """Gradient of the input of the first and of the last stage are of one size (ratio per element within 30)."""
    model = MetaSDT(arch, mixer=mixer)
    ends = {}
    model.down1b.register_forward_hook(lambda _, __, out: (out.retain_grad(), ends.update(first=out))[0])
    model.down4.register_forward_hook(lambda _, __, out: (out.retain_grad(), ends.update(last=out))[0])
    model(torch.randn(2, 3, 64, 64))[-1].square().mean().backward()
    ratio = (ends['first'].grad.norm() / ends['last'].grad.norm()).item()
    assert 1 / 30 < ratio < 30, ratio


def test_residual_gain_is_an_option():
    assert MetaSDT(SMALL).stage3[0].mlp.fc2.norm.weight.unique().item() == pytest.approx(0.1)
    assert MetaSDT(SMALL, residual_gain=1.0).stage3[0].mlp.fc2.norm.weight.eq(1).all()


def test_checkpointing_changes_nothing():
    plain = MetaSDT(SMALL, mixer=dict(type='SRB')).double()
    saving = MetaSDT(SMALL, mixer=dict(type='SRB'), with_cp=True).double()
    saving.load_state_dict(plain.state_dict())
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    for model in (plain, saving):
        model(x.clone().requires_grad_())[-1].square().mean().backward()
    for (name, a), b in zip(plain.named_parameters(), saving.parameters()):
        assert torch.allclose(a.grad, b.grad, rtol=1e-10, atol=1e-14), name
    for (name, a), b in zip(plain.state_dict().items(), saving.state_dict().values()):
        assert torch.equal(a, b), name


@pytest.mark.parametrize('frozen', [-1, 0, 2])
def test_frozen_stages(frozen):
    model = MetaSDT(SMALL, frozen_stages=frozen).train()
    trained = {name.split('.')[0] for name, p in model.named_parameters() if p.requires_grad}
    everything = {name.split('.')[0] for name, _ in model.named_parameters()}
    assert everything - trained == {-1: set(), 0: {'stem'}, 2: {'stem', 'stage1a', 'down1b', 'stage1b'}}[frozen]
    assert model.stem.norm.training == (frozen < 0)


def test_norm_eval_keeps_statistics():
    model = MetaSDT(SMALL, norm_eval=True).train()
    before = copy.deepcopy(dict(model.named_buffers()))
    model(torch.randn(2, 3, 32, 32))
    assert all(torch.equal(buffer, before[name]) for name, buffer in model.named_buffers())
    assert model.training


def test_drop_path_grows_and_drops_samples():
    model = MetaSDT(SMALL, drop_path_rate=0.5)
    rates = [
        block.drop_path.drop_prob for stage in ('1a', '1b', '2', '3', '4') for block in getattr(model, f'stage{stage}')
    ]
    assert rates == pytest.approx([0.5 * i / 11 for i in range(12)])
    block = model.stage4[-1].train()
    x = torch.randn(64, 32, 2, 2)
    unchanged = (block(x) == x).flatten(1).all(1).float().mean()
    assert 0.02 < unchanged < 0.35  # three branches, each dropped with 1/2


@pytest.mark.parametrize(
    'bad, message',
    [
        (dict(arch='huge'), "nano, tiny, small, base.*'huge'"),
        (dict(arch=dict(embed_dims=(8, 16, 20, 32))), 'multiples of 8'),
        (
            dict(arch=dict(**SMALL, depths=(1, 1, 2, 6))),
            r'depths of arch must be 5 positive integers, got \(1, 1, 2, 6\)',
        ),
        (dict(arch=dict(**SMALL, depths=(1, 1, 0, 6, 2))), 'depths of arch'),
        (dict(arch=dict(**SMALL, layers=5)), r'arch as a dict is .*layers'),
        (dict(out_indices=(1, 7)), r'\(1, 7\)'),
        (dict(out_indices=()), r'out_indices'),
        (dict(frozen_stages=9), 'frozen_stages must be -1 to 5, got 9'),
        (
            dict(attention_scale='pixels'),
            "attention_scale must be .*published, unscaled, tokens, or a number, got 'pixels'",
        ),
        (dict(attention_scale=0), 'attention_scale must be above 0, got 0'),
        (dict(attention_scale=None), 'attention_scale must be above 0, got None'),
        (dict(mixer=dict(type='MLPixer', layout='diagonal')), "raster, pointwise, got 'diagonal'"),
    ],
)
def test_bad_arguments_are_named(bad, message):
    with pytest.raises(ValueError, match=message):
        MetaSDT(**bad)


def test_small_images_are_refused():
    with pytest.raises(ValueError, match=r'at least 16x16, got \(12, 64\)'):
        MetaSDT(SMALL)(torch.randn(1, 3, 12, 64))


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmengine'])
def test_builds_under_any_default_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(
            dict(
                type='mmsterf.MetaSDT',
                arch=SMALL,
                mixer=dict(type='SRB'),
                neuron=dict(type='mmsterf.ILIF', max_count=2),
            )
        )
    assert model.stage3[0].attn.spike.max_count == 2


def test_model_can_be_copied_and_averaged():
    model = MetaSDT(SMALL)
    average = torch.optim.swa_utils.AveragedModel(model, use_buffers=True)
    average.update_parameters(model)
    x = torch.randn(2, 3, 32, 32)
    for a, b in zip(model.eval()(x), average.eval()(x)):
        assert torch.equal(a, b)


def test_depths():
    model = MetaSDT(dict(**SMALL, depths=(1, 2, 3, 1, 2)), drop_path_rate=0.8)
    stages = [getattr(model, f'stage{name}') for name in ('1a', '1b', '2', '3', '4')]
    assert [len(stage) for stage in stages] == [1, 2, 3, 1, 2]
    assert [block.drop_path.drop_prob for stage in stages for block in stage] == pytest.approx(
        [0.1 * i for i in range(9)]
    )
    assert model.state_dict().keys() < MetaSDT(dict(**SMALL, depths=(1, 2, 3, 2, 2))).state_dict().keys()
