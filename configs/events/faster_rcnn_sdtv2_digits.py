# Which digits, and where: a small spiking Faster R-CNN on Meta-SDT v2, LIF neurons over the four steps of a window, on
# moving digits. Time ends with the backbone, whose neurons remember; neck and heads see the mean over the steps. Not
# trained to its end here.
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    '../_base_/datasets/event_scenes.py',
    'mmdet::_base_/default_runtime.py',
]

norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='mmsterf.FasterRCNN',
    data_preprocessor=dict(
        _delete_=True,
        type='mmsterf.SequenceDetDataPreprocessor',
        time_steps={{_base_.time_steps}},
        pad_size_divisor=16,
    ),
    backbone=dict(
        _delete_=True,
        type='mmsterf.MetaSDTv2',
        arch=dict(embed_dims=(16, 32, 64, 96), depths=(1, 1, 2, 1, 1)),
        mixer=dict(type='ConvMixer'),
        mlp_ratio=2,
        in_channels=2,
        residual_gain=0.5,
        time_steps={{_base_.time_steps}},
        # Subtracting the threshold, a spike leaves in the memory what is above it.
        neuron=dict(type='LIF', v_threshold=0.5, v_reset=None),
        norm_cfg=norm_cfg,
    ),
    neck=dict(
        in_channels=[16, 32, 64, 96],
        out_channels=32,
        conv_cfg=dict(type='mmsterf.SpikeConv2d'),
        norm_cfg=norm_cfg,
    ),
    rpn_head=dict(
        type='mmsterf.SpikingRPNHead',
        in_channels=32,
        feat_channels=32,
        # Digits are of 14 to 21 pixels here.
        anchor_generator=dict(scales=[2], strides=[4, 8, 16, 16, 32], base_sizes=[4, 8, 16, 32, 64]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            out_channels=32, featmap_strides=[4, 8, 16, 16], finest_scale=28, roi_layer=dict(sampling_ratio=1)
        ),
        bbox_head=dict(
            type='mmsterf.SpikingConvFCBBoxHead',
            num_shared_convs=1,
            num_shared_fcs=1,
            conv_cfg=dict(type='mmsterf.SpikeConv2d'),
            norm_cfg=norm_cfg,
            in_channels=32,
            conv_out_channels=32,
            fc_out_channels=128,
            num_classes=10,
        ),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)), rpn_proposal=dict(nms_pre=100, max_per_img=50), rcnn=dict(sampler=dict(num=16))
    ),
    # Digits have rows of their own: boxes that overlap are of one.
    test_cfg=dict(
        rpn=dict(nms_pre=100, max_per_img=50), rcnn=dict(max_per_img=20, nms=dict(type='nms', iou_threshold=0.3))
    ),
)

max_iters = 1200
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.99), weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, custom_keys={'bbox_head.shared_fcs': dict(lr_mult=0.3)}),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=50, end=max_iters),
]
# The receptive fields of the stages by delay, on validation windows at the end of training.
custom_hooks = [dict(type='mmsterf.STERFHook', by_epoch=False, interval=0, inputs='val', num=8)]
log_processor = dict(by_epoch=False)
default_hooks = dict(
    logger=dict(interval=50, log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=max_iters, max_keep_ckpts=1),
)
randomness = dict(seed=0)
