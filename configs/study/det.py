# Study, detection: Faster R-CNN on digits of 24 to 90 pixels in scenes of 96 x 96, all of one class: where they are
# takes hundreds of iterations to learn, which they are thousands. Anchors and the levels that regions are read from are
# set such that digits of this size use all levels.
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    '../_base_/datasets/digit_scenes_instance.py',
    'mmdet::_base_/default_runtime.py',
]

train_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile', backend_args=None),
    dict(type='Resize', scale=(96, 96), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
metainfo = dict(classes=('digit',))
dataset = dict(metainfo=dict(_delete_=True, **metainfo))
train_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(indices=None, pipeline=train_pipeline, **dataset)
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline, **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(metric='bbox')
test_evaluator = val_evaluator

norm_cfg = dict(type='BN', requires_grad=True)
model = dict(
    type='mmsterf.FasterRCNN',
    data_preprocessor=dict(pad_size_divisor=16),
    backbone=dict(
        _delete_=True,
        type='mmsterf.MetaSDT',
        arch=dict(embed_dims=(16, 32, 64, 96), depths=(1, 1, 2, 1, 1)),
        mixer=dict(type='MLPixer', layout='raster'),
        mlp_ratio=2,
        residual_gain=0.5,
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
        anchor_generator=dict(scales=[2], strides=[4, 8, 16, 16, 32], base_sizes=[4, 8, 16, 32, 64]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            out_channels=32, featmap_strides=[4, 8, 16, 16], finest_scale=8, roi_layer=dict(sampling_ratio=1)
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
            num_classes=1,
        ),
    ),
    train_cfg=dict(
        rpn=dict(sampler=dict(num=64)), rpn_proposal=dict(nms_pre=100, max_per_img=50), rcnn=dict(sampler=dict(num=32))
    ),
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=50), rcnn=dict(max_per_img=20)),
)

max_iters = 400
train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters, val_begin=max_iters + 1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, betas=(0.9, 0.99), weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0, custom_keys={'bbox_head.shared_fcs': dict(lr_mult=0.3)}),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=30, end=max_iters),
]
log_processor = dict(by_epoch=False)
default_hooks = dict(logger=dict(interval=50), checkpoint=dict(by_epoch=False, interval=50, max_keep_ckpts=1))
randomness = dict(seed=0)
