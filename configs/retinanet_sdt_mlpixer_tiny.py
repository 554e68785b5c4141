# RetinaNet, Meta-SDT tiny with MLPixer (raster rows), e 4, COCO 1x.
_base_ = [
    './_base_/models/retinanet_sdt.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/mask_rcnn_1x.py',
    'mmdet::_base_/default_runtime.py',
]

model = dict(
    backbone=dict(arch='tiny', mixer=dict(_delete_=True, type='MLPixer', layout='raster', dropout=0.2)),
    neck=dict(in_channels=[32, 64, 128, 192]),
)
# Boxes alone.
train_pipeline = [*_base_.train_pipeline]
train_pipeline[1] = dict(type='LoadAnnotations', with_bbox=True)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_evaluator = dict(metric='bbox')
test_evaluator = val_evaluator
