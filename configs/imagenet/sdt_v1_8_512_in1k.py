# Classifier, Spike-driven Transformer v1 8-512, LIF neurons over 4 time steps, ImageNet-1k, with the settings of its
# repository (conf/imagenet/8_512_300E_t4.yml). Evaluation is as everywhere here, 224 of 256 pixels; theirs takes 95 %.
_base_ = [
    '../_base_/models/lif_classifier.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/schedules/imagenet_sdtv1_300e.py',
    'mmpretrain::_base_/default_runtime.py',
]

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmsterf.SpikeDrivenTransformer',
        arch='8-512',
        time_steps={{_base_.time_steps}},
        output='folded',
        drop_path_rate=0.2,
    ),
    head=dict(in_channels=512),
    # In six batches of ten, one or the other.
    train_cfg=dict(augments=[dict(type='Mixup', alpha=0.2), dict(type='CutMix', alpha=1.0)], probs=[0.3, 0.3]),
)
# RandAugment m5-mstd0.5-inc1, crops of at least a fifth of the image, no erasing; three views of each image, of a
# third of the images in an epoch.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224, crop_ratio_range=(0.2, 1.0), backend='pillow', interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(
        type='RandAugment',
        policies='timm_increasing',
        num_policies=2,
        total_level=10,
        magnitude_level=5,
        magnitude_std=0.5,
        hparams=dict(pad_val=[104, 116, 124], interpolation='bicubic'),
    ),
    dict(type='PackInputs'),
]
train_dataloader = dict(
    batch_size=48,
    dataset=dict(pipeline=train_pipeline),
    sampler=dict(_delete_=True, type='RepeatAugSampler', num_repeats=3, shuffle=True),
)
