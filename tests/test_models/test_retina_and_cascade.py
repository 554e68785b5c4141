"""Spiking RetinaNet and Cascade Mask R-CNN, made small: two iterations of training, prediction, strides, time."""

from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from test_detector_over_time import batch

from mmsterf.snn import SpikeConv2d, SpikeLinear

ROOT = Path(__file__).parents[2]
DIMS = (8, 8, 16, 16)


def config(name: str) -> dict:
    with patch('mmengine.config.config._get_external_cfg_path', side_effect=ValueError):
        cfg = Config.fromfile(ROOT / f'configs/{name}_sdt_mlpixer_tiny.py').model
    cfg.backbone.update(arch=dict(embed_dims=DIMS, depths=(1, 1, 1, 1, 1)), mlp_ratio=2)
    cfg.neck.update(in_channels=list(DIMS), out_channels=16)
    if name == 'retinanet':
        cfg.bbox_head.update(in_channels=16, feat_channels=16, num_classes=5)
        cfg.test_cfg.update(nms_pre=50, max_per_img=10, score_thr=0.0)
        return cfg
    cfg.rpn_head.update(in_channels=16, feat_channels=16)
    cfg.test_cfg.rpn.update(nms_pre=50, max_per_img=20)
    cfg.test_cfg.rcnn.update(max_per_img=10, score_thr=0.0)
    cfg.train_cfg.rpn_proposal.update(nms_pre=50, max_per_img=20)
    roi = cfg.roi_head
    for extractor in (roi.bbox_roi_extractor, roi.mask_roi_extractor):
        extractor.out_channels = 16
    for head in roi.bbox_head:
        head.update(in_channels=16, fc_out_channels=32, num_classes=5)
    roi.mask_head.update(in_channels=16, conv_out_channels=16, num_classes=5)
    return cfg


def build(cfg: dict) -> torch.nn.Module:
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(cfg)


def over_time(cfg: dict, steps: int) -> dict:
    neuron = dict(type='ILIF', normalize=False, time_steps=steps)
    cfg.backbone.pop('mixer')
    cfg.backbone.update(type='mmsterf.MetaSDTv2', time_steps=steps, output='folded')
    cfg.neck.conv_cfg.neuron = cfg.bbox_head.neuron = neuron
    return cfg


@pytest.mark.parametrize('name', ['retinanet', 'cascade_mask_rcnn', 'retinanet over time'])
def test_two_iterations_and_prediction(name):
    name, _, time = name.partition(' ')
    cfg = config(name)
    model = build(over_time(cfg, 2) if time else cfg)
    model.init_weights()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    model.train()
    for _ in range(2):
        losses = model.loss(*batch(model).values())
        total = sum(sum(v) if isinstance(v, list) else v for k, v in losses.items() if 'loss' in k)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
    assert total.isfinite()
    unused = [name for name, p in model.named_parameters() if p.grad is None]
    assert not unused
    model.eval()
    inputs, found = batch(model).values()
    with torch.no_grad():
        found = model.predict(inputs, found)
    assert len(found) == 2 and all(0 < len(one.pred_instances) <= 10 for one in found)
    assert all(('masks' in one.pred_instances) == (name != 'retinanet') for one in found)


def test_a_neuron_is_in_front_of_every_weight():
    model = build(config('retinanet'))
    weights = [m for m in model.bbox_head.modules() if isinstance(m, torch.nn.Conv2d)]
    assert len(weights) == 10 and all(isinstance(m, SpikeConv2d) for m in weights)
    assert not any(conv.with_activation for conv in (*model.bbox_head.cls_convs, *model.bbox_head.reg_convs))
    cascade = build(config('cascade_mask_rcnn'))
    assert len(cascade.roi_head.bbox_head) == 3
    for head in cascade.roi_head.bbox_head:
        assert [type(m) for m in head.shared_fcs] == [SpikeLinear, SpikeLinear]


@pytest.mark.parametrize('name', ['retinanet', 'cascade_mask_rcnn'])
def test_strides_are_checked(name):
    cfg = config(name)
    head = cfg.bbox_head if name == 'retinanet' else cfg.rpn_head
    head.anchor_generator.update(strides=[8, 16, 32, 64, 128], base_sizes=None)
    with pytest.raises(ValueError, match=r'strides is \(8, 16, 32, 64, 128\), but the maps have'):
        build(cfg)
