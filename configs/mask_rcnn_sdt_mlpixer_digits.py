# The demo: a small spiking Mask R-CNN with MLPixer on digit scenes, trained on two cores within minutes, which batch
# norms in the neck and heads make possible; `make demo` pretrains its backbone (imagenet/sdt_mlpixer_digits.py).
_base_ = [
    './_base_/models/mask_rcnn_sdt.py',
    './_base_/datasets/digit_scenes_instance.py',
    'mmdet::_base_/schedules/schedule_1x.py',
    'mmdet::_base_/default_runtime.py',
]

model = dict(
    data_preprocessor=dict(pad_size_divisor=16),
    # Wide and shallow: a deeper one of 16 channels at first tells single digits apart later (docs/pretraining.md).
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=(32, 64, 96, 96), depths=(1, 1, 3, 1, 1)),
        mixer=dict(type='MLPixer', layout='raster'),
        mlp_ratio=2,
    ),
    neck=dict(in_channels=[32, 64, 96, 96], out_channels=64, norm_cfg=dict(type='BN')),
    rpn_head=dict(in_channels=64, feat_channels=64, anchor_generator=dict(scales=[4])),
    roi_head=dict(
        # Digits are of 24 to 72 pixels: those of 40 and more are read from the second level.
        bbox_roi_extractor=dict(out_channels=64, finest_scale=20, roi_layer=dict(sampling_ratio=1)),
        bbox_head=dict(
            type='mmsterf.SpikingConvFCBBoxHead',
            num_shared_convs=2,
            num_shared_fcs=1,
            conv_cfg=dict(type='mmsterf.SpikeConv2d'),
            norm_cfg=dict(type='BN'),
            in_channels=64,
            conv_out_channels=64,
            fc_out_channels=256,
            num_classes=10,
        ),
        mask_roi_extractor=dict(out_channels=64, finest_scale=20, roi_layer=dict(sampling_ratio=1)),
        mask_head=dict(in_channels=64, conv_out_channels=64, num_classes=10, norm_cfg=dict(type='BN')),
    ),
    train_cfg=dict(
        rpn_proposal=dict(nms_pre=100, max_per_img=100),
        rcnn=dict(sampler=dict(num=32)),
    ),
    test_cfg=dict(rpn=dict(nms_pre=200, max_per_img=100), rcnn=dict(max_per_img=50)),
)

max_iters = 1500
train_dataloader = dict(sampler=dict(type='InfiniteSampler'))
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=max_iters, val_interval=500)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=3e-3, betas=(0.9, 0.99), weight_decay=0.05),
    # Each input of a neuron moves by up to rate x fan-in in one step of AdamW: more than its range behind 3136 inputs.
    paramwise_cfg=dict(norm_decay_mult=0.0, custom_keys={'bbox_head.shared_fcs': dict(lr_mult=0.3)}),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=100),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=100, end=max_iters),
]
log_processor = dict(by_epoch=False)
# The receptive fields of the backbone's maps on validation images at the end of training.
custom_hooks = [dict(type='mmsterf.STERFHook', interval=0, by_epoch=False, inputs='val', num=8)]
default_hooks = dict(
    logger=dict(interval=20, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=500, max_keep_ckpts=1),
)
randomness = dict(seed=0)
