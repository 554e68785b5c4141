# Cascade Mask R-CNN, Meta-SDT tiny with MLPixer (raster rows), e 4, COCO 1x.
_base_ = [
    './_base_/models/cascade_mask_rcnn_sdt.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/mask_rcnn_1x.py',
    'mmdet::_base_/default_runtime.py',
]

model = dict(
    backbone=dict(arch='tiny', mixer=dict(_delete_=True, type='MLPixer', layout='raster', dropout=0.2)),
    neck=dict(in_channels=[32, 64, 128, 192]),
)
