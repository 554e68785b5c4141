"""Published and converted files in `init_cfg` and `load_from`."""

import argparse
import logging
from collections import OrderedDict
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer, MMLogger
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import CheckpointLoader, load_checkpoint
from torch import nn

from mmsterf.checkpoint import convert, to_published
from mmsterf.errors import InvalidInput
from mmsterf.models import MetaSDT, MetaSDTv2, QKFormer, SpikeDrivenTransformer, Spikformer

ROOT = Path(__file__).parents[2]
DIMS = [8, 8, 16, 16]
SMALL = {
    'detector': (
        'mask_rcnn_sdt_srb',
        dict(
            neck=dict(in_channels=DIMS, out_channels=8),
            rpn_head=dict(in_channels=8, feat_channels=8),
            roi_head=dict(
                bbox_roi_extractor=dict(out_channels=8),
                bbox_head=dict(in_channels=8, num_classes=3),
                mask_roi_extractor=dict(out_channels=8),
                mask_head=dict(in_channels=8, conv_out_channels=8, num_classes=3),
            ),
        ),
    ),
    'segmentor': (
        'semantic_fpn_sdt_srb',
        dict(
            neck=dict(in_channels=[4, 8, 8, 16], out_channels=8),
            decode_head=dict(in_channels=[8] * 4, channels=8, num_classes=5),
        ),
    ),
}


def backbone(mixer: str = 'SRB', **init_cfg) -> MetaSDT:
    init = dict(type='Pretrained', **init_cfg) if init_cfg else None
    return MetaSDT(dict(embed_dims=DIMS), mixer=dict(type=mixer), init_cfg=init)


@lru_cache
def config(kind: str) -> Config:
    name, sizes = SMALL[kind]
    cfg = Config.fromfile(ROOT / f'configs/{name}.py')
    cfg.merge_from_dict(dict(model=dict(backbone=dict(arch=dict(_delete_=True, embed_dims=DIMS)), **sizes)))
    return cfg


def build(kind: str) -> nn.Module:
    cfg = config(kind)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return revert_sync_batchnorm(MODELS.build(cfg.model))


def randomize(model: nn.Module) -> nn.Module:
    """Other numbers than any initialisation has."""
    for value in model.state_dict().values():
        value.copy_(torch.randn(value.shape) if value.is_floating_point() else torch.tensor(7))
    return model


def assert_same(found: nn.Module, expected: dict) -> None:
    found = found.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.fixture
def file(tmp_path):
    def save(content: dict) -> str:
        torch.save(content, tmp_path / 'checkpoint.pth')
        return str(tmp_path / 'checkpoint.pth')

    return save


@pytest.fixture
def log(caplog):
    """What mmengine logs."""
    logger = MMLogger.get_instance('test_loading')
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.INFO)
    yield caplog
    logger.removeHandler(caplog.handler)


@pytest.fixture
def classifier() -> tuple:
    """An ImageNet checkpoint as training scripts write it, and the backbone's state dict by mmsterf's names."""
    state = randomize(backbone()).state_dict()
    published = to_published(state)
    published.update({'head.weight': torch.randn(10, 16), 'head.bias': torch.randn(10)})
    published = OrderedDict((f'module.{key}', value) for key, value in published.items())
    return {'model': published, 'epoch': 3, 'args': argparse.Namespace(lr=1e-3)}, state


def test_init_cfg_published_classifier(file, classifier, log):
    checkpoint, state = classifier
    model = backbone(checkpoint=file(checkpoint))
    model.init_weights()
    assert_same(model, state)
    assert 'left out: head.weight, head.bias' in log.text


def test_init_cfg_converted(file, classifier):
    checkpoint, state = classifier
    converted, _ = convert(checkpoint['model'])
    for content in ({'state_dict': state}, state):
        model = backbone(checkpoint=file(content))
        model.init_weights()
        assert_same(model, state)
    # The hand-over of a pretrained classifier: one line, whoever trained it.
    for content in ({'state_dict': converted}, checkpoint):
        model = backbone(checkpoint=file(content), prefix='backbone.')
        model.init_weights()
        assert_same(model, state)


@pytest.mark.parametrize(('kind', 'prefix'), [('detector', 'backbone.'), ('segmentor', 'backbone')])
def test_init_cfg_prefix(file, kind, prefix):
    whole = randomize(build(kind)).state_dict()
    expected = {k.removeprefix('backbone.'): v for k, v in whole.items() if k.startswith('backbone.')}
    for state in (whole, to_published(whole)):
        model = backbone(checkpoint=file({'state_dict': state}), prefix=prefix)
        model.init_weights()
        assert_same(model, expected)


def test_init_cfg_inside_a_detector_and_after_other_initialisers(file, classifier):
    checkpoint, state = classifier
    model = build('detector')
    pretrained = dict(type='Pretrained', checkpoint=file(checkpoint))
    model.backbone.init_cfg = [pretrained, dict(type='Constant', layer='Conv2d', val=3.0)]
    model.init_weights()
    assert_same(model.backbone, state)


@pytest.mark.parametrize('model', [MetaSDTv2, QKFormer, SpikeDrivenTransformer, Spikformer])
def test_init_cfg_of_the_other_backbones(model, file):
    small = dict(arch=dict(embed_dims=(8, 8, 16, 16))) if model is MetaSDTv2 else dict(embed_dims=32)
    if model in (QKFormer, Spikformer):
        small['num_heads'] = 8
    state = model(**small).state_dict()
    path = file({'state_dict': state})
    loaded = model(**small, init_cfg=dict(type='Pretrained', checkpoint=path))
    loaded.init_weights()
    assert_same(loaded, state)
    last = list(state)[-1]
    del state[last]
    with pytest.raises(ValueError, match=rf'(?s)does not fit {model.__name__}.*missing \(1\): {last}'):
        model(**small, init_cfg=dict(type='Pretrained', checkpoint=file({'state_dict': state}))).init_weights()


def test_init_cfg_names_everything_that_does_not_fit(file, classifier):
    checkpoint, _ = classifier
    path = file(checkpoint)
    with pytest.raises(
        ValueError, match=r'(?s)does not fit MetaSDT: it has .*mixer SRB.*unknown \(24\): stage1a.*missing \(4\)'
    ) as e:
        backbone('MLPixer', checkpoint=path).init_weights()
    assert 'stage2.1.mixer.fc1.weight' not in str(e.value) and 'stage2.1.mixer.fc2.weight' in str(e.value)
    model = MetaSDT(
        dict(embed_dims=(8, 8, 16, 32)), mixer=dict(type='SRB'), init_cfg=dict(type='Pretrained', checkpoint=path)
    )
    with pytest.raises(ValueError, match=r'down4.conv.weight is \(16, 16, 3, 3\), expected \(32, 16, 3, 3\)'):
        model.init_weights()
    with pytest.raises(ValueError, match=r"no names in it start with 'neck\.', but with ConvBlock1_1, "):
        backbone(checkpoint=path, prefix='neck').init_weights()
    with pytest.raises(ValueError, match=r"prefix='backbone\.'"):
        backbone(checkpoint=file(build('segmentor').state_dict())).init_weights()
    with pytest.raises(FileNotFoundError, match='nowhere'):
        backbone(checkpoint='nowhere.pth').init_weights()


@pytest.mark.parametrize('kind', SMALL)
def test_load_from_published_whole_model(file, kind, log):
    state = randomize(build(kind)).state_dict()
    published = OrderedDict((f'module.{key}', value) for key, value in to_published(state).items())
    content = {
        'state_dict': published,
        'optimizer': {'state': {}},
        'meta': {'dataset_meta': {'classes': ('a', 'b')}},
        'message_hub': {'log_scalars': {'loss': HistoryBuffer([1.0], [1])}},
    }
    model = build(kind)
    # What Runner.load_from, init_detector and init_model do.
    checkpoint = load_checkpoint(model, file(content), map_location='cpu', strict=True)
    assert_same(model, state)
    assert checkpoint['meta'] == {'dataset_meta': {'classes': ('a', 'b')}} and 'optimizer' not in checkpoint
    assert f'has published names: model {kind}' in log.text


def test_load_from_lists_or_refuses(file, log):
    state = randomize(build('segmentor')).state_dict()
    published = to_published(state)
    del published['backbone.block3.4.conv.dwconv.0.weight']
    with pytest.raises(ValueError, match=r'missing \(1\): backbone.block3.4.conv.dwconv.0.weight'):
        load_checkpoint(build('segmentor'), file(published))
    del state['backbone.stage2.0.mixer.fc1.weight']
    load_checkpoint(build('segmentor'), file(state), logger=MMLogger.get_current_instance())
    assert 'backbone.stage2.0.mixer.fc1.weight' in log.text


def test_other_files_load_as_before(file):
    weights = {'weight': torch.ones(2, 2), 'bias': torch.ones(2)}
    checkpoint = {'state_dict': weights, 'meta': {'epoch': 3}, 'optimizer': {}, 'model': 'linear'}
    assert load_checkpoint(nn.Linear(2, 2), file(checkpoint), strict=True).keys() == checkpoint.keys()
    assert torch.equal(CheckpointLoader.load_checkpoint(file(torch.ones(3))), torch.ones(3))
    checkpoint['args'] = argparse.Namespace()
    with pytest.raises(InvalidInput, match='Namespace'):
        load_checkpoint(nn.Linear(2, 2), file(checkpoint))
