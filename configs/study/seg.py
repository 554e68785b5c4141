# Study, segmentation: which digit, in scenes of 96 x 96 pixels seen at 64 x 64.
_base_ = '../semantic_fpn_sdt_mlpixer_digits.py'

crop_size = (64, 64)
scale = dict(type='Resize', scale=crop_size[::-1], keep_ratio=False)
load_labels = _base_.load_labels
train_pipeline = [dict(type='LoadImageFromFile'), *load_labels, scale, dict(type='PackSegInputs')]
test_pipeline = [dict(type='LoadImageFromFile'), scale, *load_labels, dict(type='PackSegInputs')]
train_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(arch=dict(embed_dims=(16, 32, 64, 64), depths=(1, 1, 2, 1, 1))),
    neck=dict(in_channels=[8, 16, 32, 64]),
)
max_iters = 400
train_cfg = dict(max_iters=max_iters, val_interval=max_iters, val_begin=max_iters + 1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=30, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=50))
