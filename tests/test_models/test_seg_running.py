"""Segmentors at work: next to detectors, under any default scope, on slices and with test-time augmentation."""

from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import pytest
import torch
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DATASETS, MODELS, DefaultScope
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

ROOT = Path(__file__).parents[2]
SMALL = {'embed_dims': (16, 16, 32, 32)}


def config(name: str) -> Config:
    # For each `pkg::_base_/...`, mmengine reads all of the package's model zoo first; this spares it that.
    with patch('mmengine.config.config._get_external_cfg_path', side_effect=ValueError):
        return Config.fromfile(ROOT / f'configs/{name}.py')


def build_segmentor(cfg: Config) -> torch.nn.Module:
    """A small one."""
    cfg.model.backbone.arch = SMALL
    cfg.model.neck.update(in_channels=[8, 16, 16, 32], out_channels=16)
    cfg.model.decode_head.update(in_channels=[16] * 4, channels=16)
    for head in cfg.model.get('auxiliary_head') or ():
        head.update(in_channels=[16], channels=16)
    return revert_sync_batchnorm(MODELS.build(cfg.model))


def write_scene(folder: Path, labels: np.ndarray, size: tuple = (48, 64)) -> None:
    """One image with its label map in ADE20K's layout, for training and for validation."""
    for split in ('training', 'validation'):
        for kind, name, array in (
            ('images', 'scene.jpg', np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8)),
            ('annotations', 'scene.png', labels),
        ):
            (folder / kind / split).mkdir(parents=True)
            cv2.imwrite(str(folder / kind / split / name), array)


def use(model: torch.nn.Module, inputs: dict) -> object:
    """Train once and predict; returns the first prediction."""
    losses = model.train()(**model.data_preprocessor(inputs, True), mode='loss')
    loss = model.parse_losses(losses)[0]
    loss.backward()
    assert loss.isfinite()
    assert model.backbone.stem.conv.weight.grad.any()
    with torch.no_grad():
        return model.eval()(**model.data_preprocessor(inputs, False), mode='predict')[0]


def use_detector(model: torch.nn.Module) -> None:
    result = use(model, demo_mm_inputs(1, [[3, 64, 64]], num_classes=10, with_mask=True))
    assert set(result.pred_instances.keys()) == {'bboxes', 'labels', 'scores', 'masks'}


def use_segmentor(model: torch.nn.Module) -> None:
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.randint(0, 11, (1, 64, 64))))
    sample.set_metainfo({'img_shape': (64, 64), 'ori_shape': (64, 64)})
    image = torch.randint(0, 255, (3, 64, 64), dtype=torch.uint8)
    result = use(model, {'inputs': [image], 'data_samples': [sample]})
    assert result.seg_logits.data.shape[0] == model.num_classes
    assert result.pred_sem_seg.data.shape == (1, 64, 64)


@pytest.mark.parametrize('scope', ['mmdet', 'mmseg', 'mmengine'])
@pytest.mark.parametrize('first', ['detector', 'segmentor'])
def test_both_tasks_in_one_process(scope, first):
    with DefaultScope.overwrite_default_scope(scope):
        tasks = {
            'detector': (lambda: MODELS.build(config('mask_rcnn_sdt_mlpixer_digits').model), use_detector),
            'segmentor': (lambda: build_segmentor(config('semantic_fpn_sdt_mlpixer_digits')), use_segmentor),
        }
        order = sorted(tasks, key=first.__ne__)
        models = {name: tasks[name][0]() for name in order}
        for name in order:
            tasks[name][1](models[name])


@torch.no_grad()
def test_slide_inference():
    """Tiles without overlap are what the tiles are alone."""
    cfg = config('semantic_fpn_sdt_conv_tiny')
    cfg.model.test_cfg = {'mode': 'slide', 'crop_size': (32, 32), 'stride': (32, 32)}
    model = build_segmentor(cfg).eval()
    x = torch.randn(1, 3, 64, 32)
    meta = [{'ori_shape': (64, 32), 'img_shape': (64, 32), 'pad_shape': (64, 32)}]
    slid = model.inference(x, meta)
    model.test_cfg = Config({'mode': 'whole'})
    alone = [
        model.inference(tile, [{'ori_shape': (32, 32), 'img_shape': (32, 32), 'pad_shape': (32, 32)}])
        for tile in x.split(32, dim=2)
    ]
    torch.testing.assert_close(slid, torch.cat(alone, dim=2))


@pytest.mark.parametrize(('name', 'views'), [('conv_tiny', 12), ('mlpixer_digits', 3)])
def test_test_time_augmentation(tmp_path, name, views):
    cfg = config(f'semantic_fpn_sdt_{name}')
    write_scene(tmp_path, np.ones((48, 64), np.uint8))
    with DefaultScope.overwrite_default_scope('mmseg'):
        dataset = cfg.test_dataloader.dataset
        dataset.update(data_root=str(tmp_path), pipeline=cfg.tta_pipeline)
        data = pseudo_collate([DATASETS.build(dataset)[0]])
        cfg.model = build_segmentor(cfg)
        model = MODELS.build({**cfg.tta_model, 'module': cfg.model}).eval()
    sizes = []
    model.module.backbone.register_forward_hook(lambda module, args, output: sizes.append(tuple(args[0].shape[-2:])))
    with torch.no_grad():
        result = model.test_step(data)[0]
    assert len(sizes) == views
    assert len(set(sizes)) == len(cfg.img_ratios)
    assert result.pred_sem_seg.data.shape[-2:] == result.gt_sem_seg.data.shape[-2:] == (48, 64)
    assert 0 <= result.pred_sem_seg.data.min() <= result.pred_sem_seg.data.max() < model.module.num_classes


LABELS = np.ones((48, 64), np.uint8)
BAD = {
    'value': (np.where(np.eye(48, 64), 151, LABELS), r'values \[151\]; valid are 1 to 150 .*0 or 255 .*ignore'),
    'values': (np.where(np.eye(48, 64), 254, 200 * LABELS), r'values \[200, 254\]; valid are 1 to 150'),
    'size': (LABELS[:24], r'shape \(24, 64\), but its image .*scene\.jpg is of \(height, width\) \(48, 64\)'),
    'colours': (np.dstack([LABELS] * 3), r'3 channels: a label map has one'),
    'bits': (np.full((48, 64), 300, np.uint16), r'more than 8 bits per pixel'),
}


@pytest.mark.parametrize('split', ['train', 'test', 'tta'])
@pytest.mark.parametrize('bad', BAD)
def test_bad_label_map_is_named(tmp_path, split, bad):
    labels, message = BAD[bad]
    write_scene(tmp_path, labels)
    with pytest.raises(ValueError, match=rf'annotations.*scene\.png .*{message}'):
        _first_sample(tmp_path, split)


@pytest.mark.parametrize('split', ['train', 'test', 'tta'])
def test_good_label_map_passes(tmp_path, split):
    labels = np.tile(np.array([0, 1, 150, 255], np.uint8), (48, 16))
    write_scene(tmp_path, labels)
    assert {'inputs', 'data_samples'} <= set(_first_sample(tmp_path, split))


def test_label_values_without_reduced_zero():
    from mmsterf.datasets.label_maps import CheckLabelMap

    results = {'gt_seg_map': np.full((2, 2), 3, np.uint8), 'ori_shape': (2, 2), 'img_path': 'a', 'seg_map_path': 'b'}
    with pytest.raises(ValueError, match=r'label map b has values \[3\]; valid are 0 to 2 \(3 classes\), and 255'):
        CheckLabelMap(3)({**results, 'reduce_zero_label': False})
    assert CheckLabelMap(4)({**results, 'reduce_zero_label': False})['ori_shape'] == (2, 2)


ADE = []


def _first_sample(folder: Path, split: str) -> dict:
    if not ADE:
        ADE.append(config('_base_/datasets/ade20k'))
    cfg = ADE[0]
    dataset = dict(cfg['train_dataloader' if split == 'train' else 'test_dataloader'].dataset, data_root=str(folder))
    if split == 'tta':
        dataset['pipeline'] = cfg.tta_pipeline
    with DefaultScope.overwrite_default_scope('mmseg'):
        return DATASETS.build(dataset)[0]
