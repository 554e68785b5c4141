# Pretraining of the demo's backbone (mask_rcnn_sdt_mlpixer_digits.py) on pictures of one digit each: minutes on a CPU.
# What it learns is in the detector by init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.').
_base_ = [
    '../_base_/models/sdt_classifier.py',
    '../_base_/datasets/digit_pictures.py',
    'mmpretrain::_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=(32, 64, 96, 96), depths=(1, 1, 3, 1, 1)),
        mixer=dict(_delete_=True, type='MLPixer', layout='raster'),
        mlp_ratio=2,
        drop_path_rate=0.0,
    ),
    head=dict(
        num_classes=10,
        in_channels=96,
        loss=dict(_delete_=True, type='CrossEntropyLoss'),
        init_cfg=dict(type='Normal', layer='Linear', std=0.1),
    ),
)
pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(32, 32)), dict(type='PackInputs')]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=pipeline))
test_dataloader = val_dataloader
max_iters = 1000
train_cfg = dict(by_epoch=False, max_iters=max_iters, val_interval=max_iters)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=3e-3, betas=(0.9, 0.99), weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=30, end=max_iters),
]
log_processor = dict(by_epoch=False)
default_hooks = dict(
    logger=dict(interval=50, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=max_iters, max_keep_ckpts=1),
)
randomness = dict(seed=0)
