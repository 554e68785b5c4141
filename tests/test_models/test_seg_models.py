"""Semantic FPN: published numbers, gradients, counts; and stock mmseg heads on Meta-SDT."""

import json
import sys
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from mmsterf.checkpoint import convert
from mmsterf.snn import ILIF

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / 'tests/data/golden'
sys.path.insert(0, str(GOLDEN))
from weights import image, tensor  # noqa: E402

MILLIONS = {
    'conv': 20.347486,
    'conv_small': 11.480566,
    'conv_tiny': 6.597750,
    'mlpixer': 17.919134,
    'mlpixer_small': 10.113958,
    'mlpixer_tiny': 5.989782,
    'mlpixer6': 20.693886,
    'mlpixer6_small': 11.554534,
    'mlpixer6_tiny': 6.722710,
    'srb': 24.097118,
    'srb_small': 10.796470,
    'srb_tiny': 6.293238,
}


def config(name: str) -> Config:
    # For each `mmseg::_base_/...`, mmengine reads all of mmseg's model zoo first; this spares it half a second each.
    with patch('mmengine.config.config._get_external_cfg_path', side_effect=ValueError):
        return Config.fromfile(ROOT / f'configs/semantic_fpn_sdt_{name}.py')


def build(cfg: dict) -> torch.nn.Module:
    return revert_sync_batchnorm(MODELS.build(cfg))


def samples(size: tuple, classes: int = 11, number: int = 2) -> list:
    """Data samples with random label maps."""
    labels = torch.randint(0, classes, (number, 1, *size), generator=torch.Generator().manual_seed(0))
    meta = {'img_shape': size, 'ori_shape': size, 'pad_shape': size, 'padding_size': [0] * 4}
    return [SegDataSample(metainfo=meta, gt_sem_seg=PixelData(data=label)) for label in labels]


def train_once(model: torch.nn.Module, size: tuple = (64, 64)) -> dict:
    """One backward pass of the model's losses on normal noise; returns the losses."""
    torch.manual_seed(0)
    losses = model.train().loss(torch.randn(2, 3, *size), samples(size, model.num_classes))
    sum(value for name, value in losses.items() if 'loss' in name).backward()
    return losses


def without_gradient(model: torch.nn.Module) -> list:
    """Names of parameters with no or a bad gradient, and of weights of neck, heads and stem with an all-zero one.

    Inside the backbone a neuron may be silent at first, and a bias in front of a norm has no effect.
    """
    return [
        name
        for name, p in model.named_parameters()
        if p.grad is None
        or not p.grad.isfinite().all()
        or (not p.grad.any() and p.dim() > 1 and not name.startswith(('backbone.stage', 'backbone.down')))
    ]


def test_parity_with_public_implementation():
    golden = json.loads((GOLDEN / 'semantic_fpn_srb_tiny.json').read_text())
    arrays = np.load(GOLDEN / 'semantic_fpn_srb_tiny.npz')
    published = {
        key: torch.from_numpy(np.asarray(tensor(key, tuple(shape)))) for key, shape in golden['state_dict'].items()
    }
    model = build(config('srb_tiny').model).double().eval()
    model.load_state_dict(convert(published)[0], strict=True)
    with torch.no_grad():
        maps = model.backbone(torch.from_numpy(image(golden['input_seed'], tuple(golden['input_shape']))))
        pyramid = model.neck(maps)
        found = {f'backbone.{i}': x for i, x in enumerate(maps)}
        found |= {f'neck.{i}': x for i, x in enumerate(pyramid)}
        found['logits'] = model.decode_head(pyramid)
    assert sorted(found) == sorted(arrays.files)
    for name, x in found.items():
        np.testing.assert_allclose(x.numpy(), arrays[name].reshape(x.shape), rtol=0, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(('name', 'millions'), MILLIONS.items())
def test_number_of_parameters(name, millions):
    model = build(config(name).model)
    assert sum(p.numel() for p in model.parameters()) == round(millions * 1e6)
    strides = model.backbone.out_strides
    assert tuple(model.decode_head.feature_strides) == strides == (2, 4, 8, 16)


def test_training_settings_are_the_published():
    cfg = config('conv_tiny')
    optimizer = build_optim_wrapper(build(cfg.model), cfg.optim_wrapper).optimizer
    assert type(optimizer) is torch.optim.AdamW
    assert sorted({group['lr'] for group in optimizer.param_groups}) == [0.001, 0.002]
    assert {group['weight_decay'] for group in optimizer.param_groups} == {0.005}
    warm_up, decay = cfg.param_scheduler
    assert (warm_up.start_factor, warm_up.end) == (1e-6, 1500)
    assert (decay.power, decay.eta_min, decay.begin, decay.end) == (1.0, 0.0, 1500, cfg.train_cfg.max_iters)
    assert cfg.train_cfg.max_iters == 160000
    assert cfg.train_dataloader.batch_size == 8
    assert tuple(cfg.model.data_preprocessor.size) == tuple(cfg.crop_size) == (512, 512)


def test_data_root_from_environment(monkeypatch):
    monkeypatch.setenv('MMSTERF_ADE_ROOT', 'somewhere/else')
    cfg = config('srb_tiny')
    loaders = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    assert [loader.dataset.data_root for loader in loaders] == ['somewhere/else'] * 3


def test_every_parameter_gets_a_gradient():
    cfg = config('mlpixer_digits').model
    cfg.decode_head.loss_decode = dict(type='CrossEntropyLoss')  # a mean, instead of a weighted sum
    model = build(cfg)
    losses = train_once(model)
    assert 2 < losses['decode.loss_ce'].item() < 3  # ln 11 = 2.4
    assert without_gradient(model) == []


@pytest.mark.parametrize('training', [True, False])
def test_neck_and_head_see_counts_in_both_modes(training):
    model = build(config('mlpixer_digits').model).train(training)
    seen = {}

    def keep(name):
        return lambda module, args, output: seen.update({name: output.unique().tolist()})

    for part in ('neck', 'decode_head'):
        for name, module in getattr(model, part).named_modules():
            if isinstance(module, ILIF):
                module.register_forward_hook(keep(f'{part}.{name}'))
    with torch.no_grad():
        maps = [4 * torch.randn(2, channels, 32, 32) for channels in model.neck.in_channels]
        model.decode_head([8 * level for level in model.neck(maps)])
    assert len(seen) == 8 + 7 + 1
    assert all(set(values) <= {0, 1, 2, 3, 4} for values in seen.values()), seen
    assert {4} <= {value for name, values in seen.items() for value in values if name.startswith('neck')}
    assert max(seen['decode_head.conv_seg.neuron']) > 1
    assert model.decode_head.dropout is None


def test_neck_is_the_detectors():
    cfg = {
        'in_channels': [8, 8, 16, 16],
        'out_channels': 8,
        'num_outs': 4,
        'conv_cfg': {'type': 'mmsterf.SpikeConv2d', 'with_bias': True},
        'norm_cfg': {'type': 'BN'},
    }
    ours, theirs = (MODELS.build({'type': f'{package}.FPN', **cfg}) for package in ('mmseg', 'mmdet'))
    theirs.load_state_dict(ours.state_dict(), strict=True)
    maps = [4 * torch.randn(1, c, s, s) for c, s in ((8, 24), (8, 12), (16, 6), (16, 6))]
    assert all(torch.equal(a, b) for a, b in zip(ours(maps), theirs(maps)))


def test_head_averages_logits_over_time():
    cfg = {
        'type': 'mmsterf.SpikingFPNHead',
        'in_channels': [8, 8],
        'in_index': [0, 1],
        'feature_strides': [2, 4],
        'channels': 8,
        'num_classes': 3,
        'norm_cfg': {'type': 'BN'},
        'neuron': {'type': 'ILIF', 'normalize': False, 'time_steps': 2},
    }
    with DefaultScope.overwrite_default_scope('mmseg'):
        head = MODELS.build(cfg)
    logits = head([torch.randn(2 * 3, 8, 8, 8), torch.randn(2 * 3, 8, 4, 4)])
    assert logits.shape == (3, 3, 8, 8)


STOCK = {
    'upernet_r50': {'pool_scales': (1, 2), 'channels': 16},
    'segformer_mit-b0': {'channels': 16},
}


@pytest.mark.parametrize('base', STOCK)
def test_stock_heads_by_config_alone(base):
    backbone = {
        '_delete_': True,
        'type': 'mmsterf.MetaSDT',
        'arch': {'embed_dims': (16, 16, 32, 32)},
        'out_indices': (1, 2, 3, 4),
    }
    head = {'in_channels': [16, 16, 32, 32], **STOCK[base]}
    auxiliary = 'auxiliary_head=dict(in_channels=32, channels=16),' if base.startswith('upernet') else ''
    text = f"_base_ = 'mmseg::_base_/models/{base}.py'\n"
    text += f'model = dict(pretrained=None, backbone={backbone}, decode_head={head}, {auxiliary})'
    model = build(Config.fromstring(text, '.py').model)
    assert type(model.decode_head).__module__.startswith('mmseg.')
    assert train_once(model)['decode.loss_ce'].item() > 0
    assert without_gradient(model) == []
