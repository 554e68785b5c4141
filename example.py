auto_scale_lr = dict(base_batch_size=32, enable=False)
check = dict(num_classes=150, type='mmsterf.CheckLabelMap')
classes = (
    'class_0',
    'class_1',
    'class_2',
)
crop_size = (
    48,
    64,
)
data_preprocessor = dict(
    _scope_='mmseg',
    bgr_to_rgb=True,
    mean=[
        123.675,
        116.28,
        103.53,
    ],
    pad_val=0,
    seg_pad_val=255,
    std=[
        58.395,
        57.12,
        57.375,
    ],
    type='SegDataPreProcessor',
)
data_root = '/tmp/19f/stock/seg/camvid/'
dataset = dict(
    _delete_=True,
    data_root='/tmp/19f/stock/seg/camvid/',
    metainfo=dict(
        classes=(
            'class_0',
            'class_1',
            'class_2',
        )
    ),
    type='BaseSegDataset',
)
dataset_type = 'ADE20KDataset'
default_hooks = dict(
    checkpoint=dict(_scope_='mmseg', by_epoch=False, interval=1, max_keep_ckpts=1, type='CheckpointHook'),
    logger=dict(_scope_='mmseg', interval=1, log_metric_by_epoch=False, type='LoggerHook'),
    param_scheduler=dict(_scope_='mmseg', type='ParamSchedulerHook'),
    sampler_seed=dict(_scope_='mmseg', type='DistSamplerSeedHook'),
    timer=dict(_scope_='mmseg', type='IterTimerHook'),
    visualization=dict(_scope_='mmseg', type='SegVisualizationHook'),
)
default_scope = 'mmseg'
env_cfg = dict(
    cudnn_benchmark=True, dist_cfg=dict(backend='nccl'), mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0)
)
img_ratios = [
    0.5,
    0.75,
    1.0,
    1.25,
    1.5,
    1.75,
]
load_from = None
log_level = 'ERROR'
log_processor = dict(by_epoch=False)
max_iters = 2
metainfo = dict(
    classes=(
        'class_0',
        'class_1',
        'class_2',
    )
)
model = dict(
    _scope_='mmseg',
    backbone=dict(
        arch=dict(
            embed_dims=(
                8,
                8,
                16,
                16,
            )
        ),
        attention_scale='tokens',
        mixer=dict(dropout=0.0, layout='raster', type='MLPixer'),
        mlp_ratio=1,
        norm_cfg=dict(requires_grad=True, type='BN'),
        out_indices=(
            0,
            1,
            2,
            4,
        ),
        type='mmsterf.MetaSDT',
    ),
    data_preprocessor=dict(
        bgr_to_rgb=True,
        mean=[
            123.675,
            116.28,
            103.53,
        ],
        pad_val=0,
        seg_pad_val=255,
        size=(
            48,
            64,
        ),
        std=[
            58.395,
            57.12,
            57.375,
        ],
        type='SegDataPreProcessor',
    ),
    decode_head=dict(
        align_corners=False,
        channels=128,
        dropout_ratio=0.0,
        feature_strides=[
            2,
            4,
            8,
            16,
        ],
        in_channels=[
            128,
            128,
            128,
            128,
        ],
        in_index=[
            0,
            1,
            2,
            3,
        ],
        init_cfg=None,
        loss_decode=dict(loss_weight=1.0, type='CrossEntropyLoss', use_sigmoid=False),
        norm_cfg=dict(requires_grad=True, type='SyncBN'),
        num_classes=3,
        type='mmsterf.SpikingFPNHead',
    ),
    neck=dict(
        conv_cfg=dict(type='mmsterf.SpikeConv2d', with_bias=True),
        in_channels=[
            4,
            8,
            8,
            16,
        ],
        init_cfg=None,
        norm_cfg=dict(requires_grad=True, type='SyncBN'),
        num_outs=4,
        out_channels=128,
        type='FPN',
    ),
    pretrained=None,
    test_cfg=dict(mode='whole'),
    train_cfg=dict(),
    type='EncoderDecoder',
)
norm_cfg = dict(_scope_='mmseg', requires_grad=True, type='SyncBN')
optim_wrapper = dict(
    _scope_='mmseg',
    clip_grad=dict(max_norm=10.0),
    optimizer=dict(
        betas=(
            0.9,
            0.99,
        ),
        lr=0.002,
        type='AdamW',
        weight_decay=0.01,
    ),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=1.0)), norm_decay_mult=0.0),
    type='OptimWrapper',
)
optimizer = dict(
    betas=(
        0.9,
        0.999,
    ),
    lr=0.001,
    type='AdamW',
    weight_decay=0.005,
)
param_scheduler = [
    dict(begin=0, by_epoch=False, end=1, start_factor=0.01, type='LinearLR'),
    dict(begin=1, by_epoch=False, end=2, type='CosineAnnealingLR'),
]
randomness = dict(seed=0)
resume = False
scale = (
    64,
    48,
)
test_cfg = dict(_scope_='mmseg', type='TestLoop')
test_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_prefix=dict(img_path='val', seg_map_path='valannot'),
        data_root='/tmp/19f/stock/seg/camvid/',
        img_suffix='.png',
        metainfo=dict(
            classes=(
                'class_0',
                'class_1',
                'class_2',
            )
        ),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                keep_ratio=True,
                scale=(
                    64,
                    48,
                ),
                type='Resize',
            ),
            dict(type='LoadAnnotations'),
            dict(num_classes=3, type='mmsterf.CheckLabelMap'),
            dict(type='PackSegInputs'),
        ],
        seg_map_suffix='.png',
        type='BaseSegDataset',
    ),
    num_workers=0,
    persistent_workers=False,
    sampler=dict(_scope_='mmseg', shuffle=False, type='DefaultSampler'),
)
test_evaluator = dict(
    _scope_='mmseg',
    iou_metrics=[
        'mIoU',
    ],
    type='IoUMetric',
)
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        keep_ratio=True,
        scale=(
            64,
            48,
        ),
        type='Resize',
    ),
    dict(type='LoadAnnotations'),
    dict(num_classes=3, type='mmsterf.CheckLabelMap'),
    dict(type='PackSegInputs'),
]
train_cfg = dict(max_iters=2, type='IterBasedTrainLoop', val_interval=1)
train_dataloader = dict(
    batch_size=2,
    dataset=dict(
        data_prefix=dict(img_path='train', seg_map_path='trainannot'),
        data_root='/tmp/19f/stock/seg/camvid/',
        img_suffix='.png',
        metainfo=dict(
            classes=(
                'class_0',
                'class_1',
                'class_2',
            )
        ),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            dict(num_classes=3, type='mmsterf.CheckLabelMap'),
            dict(
                keep_ratio=True,
                ratio_range=(
                    1.0,
                    1.5,
                ),
                scale=(
                    64,
                    48,
                ),
                type='RandomResize',
            ),
            dict(
                cat_max_ratio=0.9,
                crop_size=(
                    48,
                    64,
                ),
                type='RandomCrop',
            ),
            dict(prob=0.5, type='RandomFlip'),
            dict(type='PackSegInputs'),
        ],
        seg_map_suffix='.png',
        type='BaseSegDataset',
    ),
    num_workers=0,
    persistent_workers=False,
    sampler=dict(_scope_='mmseg', shuffle=True, type='InfiniteSampler'),
)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(num_classes=3, type='mmsterf.CheckLabelMap'),
    dict(
        keep_ratio=True,
        ratio_range=(
            1.0,
            1.5,
        ),
        scale=(
            64,
            48,
        ),
        type='RandomResize',
    ),
    dict(
        cat_max_ratio=0.9,
        crop_size=(
            48,
            64,
        ),
        type='RandomCrop',
    ),
    dict(prob=0.5, type='RandomFlip'),
    dict(type='PackSegInputs'),
]
tta_model = dict(_scope_='mmseg', type='SegTTAModel')
tta_pipeline = [
    dict(_scope_='mmseg', backend_args=None, type='LoadImageFromFile'),
    dict(
        _scope_='mmseg',
        transforms=[
            [
                dict(keep_ratio=True, scale_factor=0.5, type='Resize'),
                dict(keep_ratio=True, scale_factor=0.75, type='Resize'),
                dict(keep_ratio=True, scale_factor=1.0, type='Resize'),
                dict(keep_ratio=True, scale_factor=1.25, type='Resize'),
                dict(keep_ratio=True, scale_factor=1.5, type='Resize'),
                dict(keep_ratio=True, scale_factor=1.75, type='Resize'),
            ],
            [
                dict(direction='horizontal', prob=0.0, type='RandomFlip'),
                dict(direction='horizontal', prob=1.0, type='RandomFlip'),
            ],
            [
                dict(type='LoadAnnotations'),
            ],
            [
                dict(num_classes=150, type='mmsterf.CheckLabelMap'),
            ],
            [
                dict(type='PackSegInputs'),
            ],
        ],
        type='TestTimeAug',
    ),
]
val_cfg = dict(_scope_='mmseg', type='ValLoop')
val_dataloader = dict(
    batch_size=1,
    dataset=dict(
        data_prefix=dict(img_path='val', seg_map_path='valannot'),
        data_root='/tmp/19f/stock/seg/camvid/',
        img_suffix='.png',
        metainfo=dict(
            classes=(
                'class_0',
                'class_1',
                'class_2',
            )
        ),
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(
                keep_ratio=True,
                scale=(
                    64,
                    48,
                ),
                type='Resize',
            ),
            dict(type='LoadAnnotations'),
            dict(num_classes=3, type='mmsterf.CheckLabelMap'),
            dict(type='PackSegInputs'),
        ],
        seg_map_suffix='.png',
        type='BaseSegDataset',
    ),
    num_workers=0,
    persistent_workers=False,
    sampler=dict(_scope_='mmseg', shuffle=False, type='DefaultSampler'),
)
val_evaluator = dict(
    _scope_='mmseg',
    iou_metrics=[
        'mIoU',
    ],
    type='IoUMetric',
)
vis_backends = [
    dict(_scope_='mmseg', type='LocalVisBackend'),
]
visualizer = dict(
    _scope_='mmseg',
    name='visualizer',
    type='SegLocalVisualizer',
    vis_backends=[
        dict(type='LocalVisBackend'),
    ],
)
