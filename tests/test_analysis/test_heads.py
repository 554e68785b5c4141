"""Heads of every kind run as in testing, and what of them has no position is refused."""

import pytest
import torch

from mmsterf.analysis.heads import run_with_heads
from mmsterf.analysis.loading import load_model
from mmsterf.erf import Noise, probe, st_erf, untouched
from mmsterf.errors import InvalidInput

DET, SEG, SIZE = 'mmdet::', 'mmseg::', (96, 128)
# config, layers with a grid and that grid, layers without one
HEADS = {
    'two stages': (
        DET + 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py',
        {'rpn_head.rpn_conv': (24, 32), 'roi_head.bbox_roi_extractor': (7, 7), 'roi_head.mask_head': (28, 28)},
        ['roi_head.bbox_head.shared_fcs.0', 'roi_head.bbox_head:0'],
    ),
    'cascade': (
        DET + 'htc/htc_r50_fpn_1x_coco.py',
        {'roi_head.mask_head.2': (28, 28), 'roi_head.semantic_head:0': (12, 16)},
        ['roi_head.bbox_head.2:0'],
    ),
    'points of regions': (
        DET + 'point_rend/point-rend_r50-caffe_fpn_ms-1x_coco.py',
        {'roi_head.mask_head.downsample_conv': (7, 7)},
        ['roi_head.point_head', 'roi_head.mask_head'],
    ),
    'mask scores': (
        DET + 'ms_rcnn/ms-rcnn_r50_fpn_1x_coco.py',
        {'roi_head.mask_head': (28, 28)},
        ['roi_head.mask_iou_head'],
    ),
    'learnt proposals': (
        DET + 'queryinst/queryinst_r50_fpn_1x_coco.py',
        {},
        ['roi_head.mask_head.5', 'roi_head.bbox_head.5:0'],
    ),
    'prototypes': (DET + 'yolact/yolact_r50_1xb8-55e_coco.py', {'mask_head.protonet': (24, 32)}, []),
    'panoptic': (DET + 'panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py', {'semantic_head:0': (24, 32)}, []),
    'queries': (DET + 'detr/detr_r18_8xb2-500e_coco.py', {'encoder': (3, 4)}, ['bbox_head:0', 'decoder']),
    'deformable queries': (
        DET + 'deformable_detr/deformable-detr_r50_16xb2-50e_coco.py',
        {},
        ['bbox_head:0', 'decoder:0', 'encoder'],
    ),
    'mask queries': (
        DET + 'mask2former/mask2former_r50_8xb2-lsj-50e_coco.py',
        {'panoptic_head.pixel_decoder:0': (24, 32), 'panoptic_head.pixel_decoder:1': (3, 4)},
        ['panoptic_head.pixel_decoder.encoder', 'panoptic_head.transformer_decoder.layers.0', 'panoptic_head:1'],
    ),
    'segmentation cascade': (
        SEG + 'ocrnet/ocrnet_hr18s_4xb2-40k_cityscapes-512x1024.py',
        {'decode_head.0': (24, 32), 'decode_head.1': (24, 32)},
        [],
    ),
    'segmentation points': (
        SEG + 'point_rend/pointrend_r50_4xb2-80k_cityscapes-512x1024.py',
        {'decode_head.0': (24, 32)},
        ['decode_head.1'],
    ),
    'auxiliary': (
        SEG + 'bisenetv1/bisenetv1_r18-d32_4xb4-160k_cityscapes-1024x1024.py',
        {'decode_head': (12, 16), 'auxiliary_head.1': (6, 8)},
        [],
    ),
    'classes as queries': (
        SEG + 'segmenter/segmenter_vit-t_mask_8xb1-160k_ade20k-512x512.py',
        {'decode_head': (6, 8)},
        [],
    ),
}


@pytest.mark.parametrize('kind', HEADS)
def test_heads(kind):
    config, grids, without = HEADS[kind]
    _, model = load_model(config, None)
    with untouched(model) as bare:
        usable, reasons = probe(bare, torch.randn(1, 3, *SIZE, requires_grad=True), SIZE, forward=run_with_heads)
    assert {name: usable[name].grid for name in grids if name in usable} == grids, reasons
    assert not any(usable[name].guess for name in grids)
    for name in without:
        assert 'no spatial shape' in reasons.get(name, ''), (name, usable.get(name), reasons.get(name))


def test_regions():
    _, model = load_model(DET + 'mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py', None)
    layer, inputs = 'roi_head.mask_roi_extractor', Noise(1, (3, 128, 128))

    def at(region, **kwargs):
        run = lambda m, x: run_with_heads(m, x, region)  # noqa: E731
        return st_erf(model, inputs, layer, forward=run, **kwargs)[layer]

    assert at('image').centre == (64, 64)
    box = at((0, 64, 32, 128))
    assert box.grid == (14, 14) and box.centre == (17, 98)  # the middle of cell (7, 7) of 32 x 64 pixels
    row, column = (int(i) for i in divmod(box.spatial().argmax(), 128))
    assert abs(row - 17) < 40 and abs(column - 98) < 40
    predicted = at('predicted')
    assert predicted.grid == (14, 14) and predicted.mean.any()
    with pytest.raises(InvalidInput, match='TOP LEFT BOTTOM RIGHT of pixels inside 128 x 128, got 0 0 200 10'):
        at((0, 0, 200, 10))
    with pytest.raises(ValueError, match='not in the region of interest'):
        at((0, 64, 32, 128), position=(100, 10))
    _, model = load_model(DET + 'fast_rcnn/fast-rcnn_r50_fpn_1x_coco.py', None)
    layer = 'roi_head.bbox_roi_extractor'
    assert at('image').grid == (7, 7)
    with pytest.raises(InvalidInput, match='FastRCNN has no proposals of its own'):
        at('predicted')


def test_models_without_heads():
    _, model = load_model(DET + 'mask2former_vis/mask2former_r50_8xb2-8e_youtubevis2019.py', None)
    with pytest.raises(InvalidInput, match='Mask2FormerVideo: its heads need videos'):
        run_with_heads(model, torch.randn(1, 3, 64, 64))
