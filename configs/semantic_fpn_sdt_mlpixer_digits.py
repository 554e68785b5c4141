# A small spiking Semantic FPN with MLPixer on digit scenes. Not yet a demo: runs of up to 900 iterations found the
# strokes but did not tell the digits apart (best mIoU 0.097).
_base_ = [
    './_base_/models/semantic_fpn_sdt.py',
    './_base_/datasets/ade20k_digit_scenes.py',
    './_base_/schedules/semantic_fpn_160k.py',
    'mmseg::_base_/default_runtime.py',
]

norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    data_preprocessor=dict(size=(160, 160)),
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=(16, 32, 64, 96)),
        mixer=dict(type='MLPixer', layout='raster'),
        norm_cfg=norm_cfg,
    ),
    neck=dict(in_channels=[8, 16, 32, 96], out_channels=32, norm_cfg=norm_cfg),
    decode_head=dict(
        in_channels=[32, 32, 32, 32],
        channels=32,
        num_classes=11,
        norm_cfg=norm_cfg,
    ),
)

max_iters = 1600
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
optim_wrapper = dict(optimizer=dict(lr=1e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=50, end=max_iters),
]
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=max_iters, max_keep_ckpts=1))
randomness = dict(seed=0)
