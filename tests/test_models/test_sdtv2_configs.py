"""Configs of Meta-SDT v2 over time: sizes, a training step that reaches every parameter, predictions."""

from pathlib import Path

import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample

from mmsterf.registry import MODELS
from mmsterf.snn.neurons import NEURONS

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
SIZE = (160, 160)  # of the digit scenes


def build(name: str) -> torch.nn.Module:
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.norm_cfg = dict(type='BN')
    return MODELS.build(cfg.model)


def sample(task: str, index: int):
    """Ground truth: two rectangles, of class 1 and 3."""
    meta = dict(img_shape=SIZE, ori_shape=SIZE, scale_factor=(1.0, 1.0), img_id=index)
    labels = torch.zeros(2, *SIZE, dtype=torch.uint8)
    labels[0, 8:40, 8:40], labels[1, 20:60, 40:90] = 1, 1
    if task == 'semantic_fpn':
        gt = PixelData(data=(labels[0] + 3 * labels[1])[None].long())
        return SegDataSample(gt_sem_seg=gt, metainfo=meta)
    boxes = torch.tensor([[8.0, 8, 40, 40], [40, 20, 90, 60]])
    gt = InstanceData(bboxes=boxes, labels=torch.tensor([1, 3]), masks=BitmapMasks(labels.numpy(), *SIZE))
    return DetDataSample(gt_instances=gt, metainfo=meta)


def batch(model, task: str, training: bool) -> dict:
    images = [torch.randint(0, 255, (3, *SIZE), dtype=torch.uint8) for _ in range(2)]
    for image in images:
        image[:, 8:40, 8:40], image[:, 20:60, 40:90] = 250, 5
    data = dict(inputs=images, data_samples=[sample(task, i) for i in range(2)])
    return model.data_preprocessor(data, training)


@pytest.mark.parametrize(
    ('name', 'millions', 'backbone'),
    [
        ('mask_rcnn_sdtv2', 51.05, 30.85),
        ('semantic_fpn_sdtv2', 32.60, 30.85),
        ('mask_rcnn_sdtv2_digits', 2.26, 1.00),
        ('semantic_fpn_sdtv2_digits', 0.70, 0.58),
    ],
)
def test_sizes_and_steps(name, millions, backbone):
    with torch.device('meta'):
        model = build(name)
    for module, expected in ((model, millions), (model.backbone, backbone)):
        assert sum(p.numel() for p in module.parameters()) == pytest.approx(expected * 1e6, abs=0.005e6)
    neurons = [m for m in model.modules() if isinstance(m, tuple(NEURONS.values()))]
    assert {m.time_steps for m in neurons} == {4} and model.backbone.output == 'folded'


@pytest.mark.parametrize('task', ['mask_rcnn', 'semantic_fpn'])
def test_training_step_and_prediction(task):
    torch.manual_seed(0)
    model = build(f'{task}_sdtv2_digits')
    model.init_weights()
    losses = model.train().loss(*batch(model, task, True).values())
    total = sum(sum(v) if isinstance(v, list) else v for k, v in losses.items() if 'loss' in k)
    total.backward()
    assert total.isfinite()
    silent = [
        k for k, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all() or not p.grad.any()
    ]
    assert silent == []
    # Clipping makes nothing of gradients whose norm overflows.
    assert torch.stack([p.grad.norm() for p in model.backbone.parameters()]).norm() < 100

    data = batch(model.eval(), task, False)
    with torch.no_grad():
        results = model.predict(*data.values())
    assert len(results) == 2
    if task == 'semantic_fpn':
        assert results[0].seg_logits.data.shape == (11, *SIZE) and results[0].pred_sem_seg.data.shape == (1, *SIZE)
    else:
        assert results[0].pred_instances.masks.shape[1:] == SIZE
