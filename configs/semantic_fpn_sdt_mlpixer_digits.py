# A small spiking Semantic FPN with MLPixer on digit scenes, trained on two cores within minutes; `make demo-seg`
# pretrains its backbone (imagenet/sdt_mlpixer_digits_seg.py).
_base_ = [
    './_base_/models/semantic_fpn_sdt.py',
    './_base_/datasets/ade20k_digit_scenes.py',
    './_base_/schedules/semantic_fpn_160k.py',
    'mmseg::_base_/default_runtime.py',
]

norm_cfg = dict(type='BN', requires_grad=True)
# Nine pixels in ten are background: with equal weights, hundreds of iterations learn nothing but the strokes. A sum,
# because mmseg's weighted mean fails where pixels are to be ignored; AdamW does not mind its size.
loss = dict(class_weight=[0.2] + [1.0] * 10, reduction='sum', loss_weight=1e-4)
# A level of the neck by itself. Which digit it is takes longer to learn than what is a stroke; losses where digits are
# a few pixels large shorten that.
level = dict(
    type='mmsterf.SpikingFPNHead',
    in_channels=[32],
    channels=32,
    num_classes=11,
    norm_cfg=norm_cfg,
    loss_decode=dict(type='CrossEntropyLoss', **{**loss, 'loss_weight': 0.5e-4}),
)
model = dict(
    data_preprocessor=dict(size=(80, 80)),
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=(64, 96, 96, 96), depths=(1, 1, 3, 1, 1)),
        mixer=dict(type='MLPixer', layout='raster'),
        mlp_ratio=2,
        norm_cfg=norm_cfg,
    ),
    # torch's initialisation: with mmseg's, a classifier at 0.01, no digits were learned in 1600 iterations.
    neck=dict(in_channels=[32, 64, 96, 96], out_channels=32, norm_cfg=norm_cfg, init_cfg=None),
    decode_head=dict(
        init_cfg=None,
        in_channels=[32, 32, 32, 32],
        channels=32,
        num_classes=11,
        norm_cfg=norm_cfg,
        loss_decode=loss,
    ),
    auxiliary_head=[
        dict(in_index=[1], feature_strides=[4], init_cfg=None, **level),
        dict(in_index=[2], feature_strides=[8], init_cfg=None, **level),
    ],
)

max_iters = 4000
train_cfg = dict(max_iters=max_iters, val_interval=max_iters // 4)
optim_wrapper = dict(
    # At a third of this rate, strokes are found as soon, but digits are told apart much later.
    optimizer=dict(lr=6e-3, betas=(0.9, 0.99)),
    paramwise_cfg=dict(norm_decay_mult=0.0, custom_keys=dict(decode_head=dict(lr_mult=1.0))),
    clip_grad=dict(_delete_=True, max_norm=10.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=30, end=max_iters),
]
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(interval=max_iters, max_keep_ckpts=1))
randomness = dict(seed=0)
