"""Folded models are the models they were folded from."""

import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn

import mmsterf.models  # noqa: F401  registers the names below
from mmsterf.models import MetaSDT, MetaSDTv2, QKFormer, SpikeDrivenTransformer, Spikformer
from mmsterf.snn import ILIF, SpikeConv2d, SpikeLinear, SpikeRepConv, fold_norms

DIMS = dict(embed_dims=(16, 32, 64, 96))


def norms_in(model: nn.Module) -> list:
    return [name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]


def shake(model: nn.Module) -> nn.Module:
    """Double precision, evaluation mode, norms far from the identity, weights that make neurons fire."""
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.8, 1.8)
            nn.init.normal_(module.bias, 0.1, 0.2)
            nn.init.normal_(module.running_mean, 0.0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    return model.double().eval()


@pytest.mark.parametrize('groups', [1, 3])
def test_rep_conv_is_one_convolution_up_to_the_border(groups):
    rep = shake(SpikeRepConv(6, 6 * groups, groups, neuron=nn.Identity()))
    x = torch.randn(2, 6, 5, 4, dtype=torch.float64)
    folded = rep.folded()
    assert type(folded) is SpikeConv2d and folded.kernel_size == (3, 3)
    assert torch.allclose(folded(x), rep(x), rtol=0, atol=1e-12)
    assert torch.allclose(fold_norms(rep)(x), rep(x), rtol=0, atol=1e-12)


def test_groups_are_rep_convs_side_by_side():
    joint = shake(SpikeRepConv(4, 8, 2))
    single = [shake(SpikeRepConv(4, 4)) for _ in range(2)]
    state = {
        key: torch.cat([rep.state_dict()[key] for rep in single]) if value.dim() else value
        for key, value in joint.state_dict().items()
    }
    joint.load_state_dict(state)
    x = torch.randn(1, 4, 6, 6, dtype=torch.float64)
    assert torch.allclose(joint(x), torch.cat([rep(x) for rep in single], 1))


def test_rep_conv_trains_on_batch_statistics():
    rep = SpikeRepConv(4, 4)
    out = rep(4 * torch.randn(2, 4, 6, 6))
    assert torch.allclose(out.mean((0, 2, 3)), torch.zeros(4), atol=1e-5)
    out.square().mean().backward()
    assert all(p.grad is not None for p in rep.parameters())


MODELS = {
    'v3 conv': lambda: MetaSDT(DIMS),
    'v3 mlpixer raster': lambda: MetaSDT(DIMS, mixer=dict(type='MLPixer')),
    'v3 mlpixer pointwise': lambda: MetaSDT(DIMS, mixer=dict(type='MLPixer', layout='pointwise')),
    'v3 srb raster': lambda: MetaSDT(DIMS, mixer=dict(type='SRB')),
    'v3 srb pointwise': lambda: MetaSDT(DIMS, mixer=dict(type='SRB', layout='pointwise')),
    'v2': lambda: MetaSDTv2(DIMS),
    'spikformer': lambda: Spikformer(64, 1, num_heads=8),
    'sdt v1': lambda: SpikeDrivenTransformer(64, 1),
    'qkformer': lambda: QKFormer(64, (1, 1, 1), 8),
}


@pytest.mark.parametrize('name', MODELS)
def test_folded_backbones(name):
    model = shake(MODELS[name]()).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    folded = fold_norms(model)
    assert norms_in(model) and not norms_in(folded) and not folded.training and model.training
    assert not any(isinstance(module, SpikeRepConv) for module in folded.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    x = torch.randn(2, 3, 48, 64, dtype=torch.float64)
    model.eval()
    for out, expected in zip(folded(x), model(x)):
        assert expected.abs().max() > 0.1
        assert (out - expected).abs().max() < 1e-6


def test_conv_modules_of_necks_and_heads():
    spiking = dict(type='mmsterf.SpikeConv2d')
    layers = [
        ConvModule(4, 6, 3, padding=1, conv_cfg=spiking, norm_cfg=dict(type='BN'), act_cfg=None),
        ConvModule(6, 6, 3, norm_cfg=dict(type='BN'), order=('norm', 'conv', 'act')),  # norm in front
        ConvModule(6, 4, 1, norm_cfg=dict(type='GN', num_groups=2)),
        ConvModule(4, 4, 1),
    ]
    model = shake(nn.Sequential(*layers))
    folded = fold_norms(model)
    assert norms_in(folded) == ['1.bn'] and isinstance(folded[2].gn, nn.GroupNorm)
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    assert torch.allclose(folded(x), model(x), rtol=0, atol=1e-12)


def test_norms_without_a_weight_right_in_front_stay():
    model = shake(
        nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), ILIF(), nn.BatchNorm2d(4), nn.ConvTranspose2d(4, 4, 2))
    )
    assert norms_in(fold_norms(model)) == ['0', '3']
    no_statistics = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False))
    assert norms_in(fold_norms(no_statistics)) == ['1']


def test_linear_and_affine_free_norms():
    model = nn.Sequential(SpikeLinear(3, 5, bias=False), nn.BatchNorm1d(5, affine=False))
    for _ in range(3):
        model(3 * torch.randn(8, 3))
    model.double().eval()
    x = 3 * torch.randn(4, 3, dtype=torch.float64)
    assert torch.allclose(fold_norms(model)(x), model(x), rtol=0, atol=1e-12)


@pytest.mark.parametrize('neuron', [dict(type='ILIF'), dict(type='ILIF', max_count=2, time_steps=2, tau=2.0)])
def test_constants_of_neurons_go_into_weights(neuron):
    model = nn.Sequential(
        SpikeConv2d(3, 8, 3, neuron=neuron), SpikeConv2d(8, 4, 1), SpikeConv2d(4, 2, 1, neuron=dict(type='LIF'))
    ).eval()
    folded = fold_norms(model)
    assert not folded[0].neuron.normalize and model[0].neuron.normalize
    assert torch.equal(folded[0].weight * model[0].neuron.max_count, model[0].weight)
    assert torch.equal(folded[1].weight, model[1].weight) and torch.equal(folded[2].weight, model[2].weight)
    x = 4 * torch.rand(4, 3, 8, 8)
    assert torch.equal(folded(x), model(x))  # bit for bit: D is a power of two


def test_a_layer_with_several_norms_stays():
    conv = nn.Conv2d(3, 4, 1)
    model = nn.ModuleList([nn.Sequential(conv, nn.BatchNorm2d(4)), nn.Sequential(conv, nn.BatchNorm2d(4))])
    shake(model)
    folded, x = fold_norms(model), torch.randn(2, 3, 5, 5, dtype=torch.float64)
    for branch, expected in zip(folded, model):
        assert torch.allclose(branch(x), expected(x))


def test_rep_conv_of_other_norms_is_refused():
    with pytest.raises(TypeError, match=r'needs batch norms.*GroupNorm'):
        SpikeRepConv(4, 4, norm=lambda channels: nn.GroupNorm(1, channels))


def test_a_model_whose_train_returns_nothing_is_folded():
    class Silent(nn.Sequential):
        """As stock Swin."""

        def train(self, mode=True):
            super().train(mode)

    model = Silent(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    folded = fold_norms(model)
    x = torch.randn(2, 3, 5, 5)
    model.eval()
    assert isinstance(folded[1], nn.Identity)
    torch.testing.assert_close(folded(x), model(x))
