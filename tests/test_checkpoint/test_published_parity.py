"""Published files end to end in float64: converted by the tool, loaded strictly, run, compared with the golden data."""

import importlib
import re
import runpy
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import load_checkpoint

from mmsterf.models import MetaSDT

ROOT = Path(__file__).parents[2]
convert_file = runpy.run_path(str(ROOT / 'tools/model_converters/published_to_mmsterf.py'))['main']
NMS = importlib.import_module('mmcv.ops.nms')
BLOCKS = ('ConvBlock1_1.0', 'ConvBlock1_2.0', 'ConvBlock2_2.0', 'block3.5', 'block4.1')


def build(config: str, **changes) -> torch.nn.Module:
    cfg = Config.fromfile(ROOT / f'configs/{config}.py')
    cfg.merge_from_dict(changes)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        return revert_sync_batchnorm(MODELS.build(cfg.model)).double().eval()


@pytest.fixture
def converted(golden, tmp_path):
    """Write golden weights as a published file, convert it, and load it strictly."""

    def load(name: str, key: str, model: torch.nn.Module) -> torch.nn.Module:
        weights = golden(name).weights()
        torch.save({key: weights}, tmp_path / 'published.pth')
        convert_file([str(tmp_path / 'published.pth'), str(tmp_path / 'converted.pth')])
        load_checkpoint(model, str(tmp_path / 'converted.pth'), strict=True)
        return weights

    return load


def set_directly(model: torch.nn.Module, weights: dict) -> None:
    """Set published weights one by one, by a reading of the names that shares nothing with the converter's."""
    targets = model.state_dict()
    for name, value in weights.items():
        key = re.sub(r'downsample1_1\.encode_', 'stem.', name)
        key = re.sub(r'downsample(1_2|\d)\.encode_', lambda m: f'down{m[1].replace("1_2", "1b")}.', key)
        key = key.replace('ConvBlock1_1.0.', 'stage1a.0.').replace('ConvBlock1_2.0.', 'stage1b.0.')
        key = re.sub(r'ConvBlock2_([12])\.0\.', lambda m: f'stage2.{int(m[1]) - 1}.', key)
        key = re.sub(r'(stage\w+\.\d)\.(fc|conv|bn)([12])\.', r'\1.mixer.\2\3.', key)
        key = key.replace('.mixer.conv2.', '.mixer.conv2.conv.').replace('.mixer.bn2.', '.mixer.conv2.norm.')
        key = re.sub(r'\bblock([34])', r'stage\1', key)
        key = re.sub(r'(stage\w+\.\d)\.[cC]onv\.', r'\1.sepconv.', key)
        key = re.sub(r'(stage\w+\.\d\.sepconv)\.(pw|dw)conv(\d?)\.0', r'\1.\2\3.conv', key)
        key = re.sub(r'(stage\w+\.\d\.sepconv)\.(pw|dw)conv(\d?)\.1', r'\1.\2\3.norm', key)
        key = re.sub(r'(\.mlp\.fc[12])_conv', r'\1.conv', key)
        key = re.sub(r'(\.mlp\.fc[12]|\bstem|\bdown\w+)[_.]bn', r'\1.norm', key)
        key = key.replace('proj_conv.0', 'proj.conv').replace('proj_conv.1', 'proj.norm')
        key = re.sub(r'\.1\.0\.', '.', key) if not key.startswith('backbone') else key
        part = re.search(r'([qkv])_conv\.([01])', key)
        if part is None:
            targets[key].copy_(value.reshape(targets[key].shape))
            continue
        key = key.replace(part[0], ('qkv', 'norm')[int(part[2])])
        if value.dim():
            width = len(targets[key]) // 6
            start = 'qkv'.index(part[1]) * width
            targets[key][start : start + len(value)].copy_(value)


@pytest.mark.parametrize('name', ['conv_r4', 'mlpixer_r4', 'srb_r4', 'mlpixer_r6'])
def test_backbone(golden, converted, name):
    data = golden(f'backbone_{name}')
    mixer = {'conv': 'ConvMixer', 'mlpixer': 'MLPixer', 'srb': 'SRB'}[data.meta['kind']]
    arch = dict(embed_dims=data.meta['embed_dims'])
    model = MetaSDT(arch, mixer=dict(type=mixer), mlp_ratio=data.meta['mlp_ratio'], out_indices=range(5)).double()
    converted(f'backbone_{name}', 'model', model.eval())
    with torch.no_grad():
        for block, out in zip(BLOCKS, model(data.input())):
            assert data.error(f'eval/{block}', out) < 1e-6


def test_segmentor(golden, converted):
    data = golden('semantic_fpn_srb_tiny')
    model = build('semantic_fpn_sdt_srb_tiny')
    converted('semantic_fpn_srb_tiny', 'state_dict', model)
    with torch.no_grad():
        maps = model.backbone(data.input())
        pyramid = model.neck(maps)
        logits = model.decode_head(pyramid)
    assert data.error('logits', logits) < 1e-5
    for name, found in (('backbone', maps), ('neck', pyramid)):
        assert all(data.error(f'{name}.{i}', out) < 1e-5 for i, out in enumerate(found))


def detector_parts(data, model) -> None:
    seed = data.meta['seed']
    inputs = [data.image(seed + i, shape)[0] for i, shape in enumerate(data.meta['neck_inputs'])]
    with torch.no_grad():
        for mode in ('train', 'eval'):  # counts to 4, then to 1
            for i, out in enumerate(model.train(mode == 'train').neck(inputs)):
                assert data.error(f'{mode}/neck.{i}', out) < 1e-5
        found = dict(
            zip(('rpn_cls', 'rpn_reg'), model.rpn_head.forward_single(2 * data.image(seed + 10, (2, 256, 8, 12)))),
            mask_preds=model.roi_head.mask_head(2 * data.image(seed + 12, (3, 256, 14, 14))),
        )
        box = model.roi_head.bbox_head(2 * data.image(seed + 11, (5, 256, 7, 7)))
        found |= dict(zip(('cls_score', 'bbox_pred'), box))
    for name, out in found.items():
        assert data.error(name, out) < 1e-5, name


def predictions(model, monkeypatch):
    """Boxes, scores, labels and masks of one image, in float64, which two operators on the way do not take."""
    from mmdet.structures import DetDataSample

    nms, grid_sample = NMS.ext_module.nms, F.grid_sample
    in_single = SimpleNamespace(nms=lambda boxes, scores, **kwargs: nms(boxes.float(), scores.float(), **kwargs))
    monkeypatch.setattr(NMS, 'ext_module', in_single)
    monkeypatch.setattr(F, 'grid_sample', lambda x, grid, **kwargs: grid_sample(x, grid.to(x.dtype), **kwargs))
    size = (64, 96)
    image = torch.randn(1, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    meta = dict(img_shape=size, ori_shape=size, pad_shape=size, batch_input_shape=size, scale_factor=(1.0, 1.0))
    with torch.no_grad():
        return model.eval()(image, [DetDataSample(metainfo=meta)], mode='predict')[0].pred_instances


def test_detector(golden, converted, monkeypatch):
    data = golden('mask_rcnn_srb_tiny_parts')
    few = {'model.test_cfg.rpn.max_per_img': 50, 'model.test_cfg.rcnn.max_per_img': 20}
    model = build('published/mask_rcnn_sdt_srb_tiny', **few)
    weights = converted('mask_rcnn_srb_tiny_parts', 'state_dict', model)
    detector_parts(data, model)
    found = predictions(model, monkeypatch)
    assert len(found) == 20 and found.scores.dtype == found.bboxes.dtype == torch.float64 and found.masks.any()
    for value in model.state_dict().values():
        value.zero_()
    set_directly(model, weights)
    monkeypatch.undo()
    expected = predictions(model, monkeypatch)
    for key in ('bboxes', 'scores', 'labels', 'masks'):
        assert torch.equal(found[key], expected[key]), key


def test_published_detectors_differ_by_what_was_published_alone(monkeypatch):
    def not_listed(*args):
        raise ValueError

    # Base configs are in no package's model index; mmengine reads it each time all the same, and takes seconds.
    monkeypatch.setattr('mmengine.config.utils._get_cfg_metainfo', not_listed)
    paths = sorted((ROOT / 'configs/published').glob('mask_rcnn_*.py'))
    assert len(paths) == 7
    for path in paths:
        published, ours = Config.fromfile(path).to_dict(), Config.fromfile(ROOT / 'configs' / path.name).to_dict()
        model = published['model']
        assert model.pop('check_strides') is False
        assert model['neck']['conv_cfg'].pop('neuron') == dict(type='ILIF', normalize=False, eval_max_count=1)
        anchors = model['rpn_head']['anchor_generator']
        assert anchors['strides'] == [4, 8, 16, 32, 64] and anchors['base_sizes'] is None
        anchors.update(strides=[4, 8, 16, 16, 32], base_sizes=[4, 8, 16, 32, 64])
        for name in ('bbox_roi_extractor', 'mask_roi_extractor'):
            assert model['roi_head'][name]['featmap_strides'] == [4, 8, 16, 32]
            model['roi_head'][name]['featmap_strides'] = [4, 8, 16, 16]
        assert published == ours, path.name
