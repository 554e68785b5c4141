# Study, segmentation: strokes of digits on textures, in scenes of 96 x 96 pixels seen at 64 x 64. Which digit they are
# of takes thousands of iterations to learn, so that all are of one class.
_base_ = '../semantic_fpn_sdt_mlpixer_digits.py'

crop_size = (64, 64)
metainfo = dict(_delete_=True, classes=('background', 'digit'), palette=[[90, 90, 90], [214, 39, 40]])
scale = dict(type='Resize', scale=crop_size[::-1], keep_ratio=False)
load_labels = [
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='mmsterf.CheckLabelMap', num_classes=2),
]
train_pipeline = [dict(type='LoadImageFromFile'), *load_labels, scale, dict(type='PackSegInputs')]
test_pipeline = [dict(type='LoadImageFromFile'), scale, *load_labels, dict(type='PackSegInputs')]
train_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(metainfo=metainfo, pipeline=train_pipeline)
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(metainfo=metainfo, pipeline=test_pipeline))
test_dataloader = val_dataloader

loss = dict(_delete_=True, type='CrossEntropyLoss', class_weight=[0.2, 1.0], reduction='sum', loss_weight=1e-4)
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(arch=dict(embed_dims=(16, 32, 64, 64), depths=(1, 1, 2, 1, 1)), residual_gain=0.5),
    neck=dict(in_channels=[8, 16, 32, 64]),
    decode_head=dict(num_classes=2, loss_decode=loss),
    auxiliary_head=None,
)
max_iters = 400
train_cfg = dict(max_iters=max_iters, val_interval=max_iters, val_begin=max_iters + 1)
optim_wrapper = dict(optimizer=dict(lr=3e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=30, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=50))
