# Prophesee's Gen1 automotive detection data set in data/gen1, or where the environment variable MMSTERF_GEN1_ROOT says,
# with the annotations of tools/dataset_converters/prophesee_to_coco.py. Windows of 200 ms before each label, as the
# field has them (200 to 250 ms in 4 or 5 steps), two polarities, counts up to 10; in training, flipped and scaled.
data_root = '{{$MMSTERF_GEN1_ROOT:data/gen1}}/'
time_steps = 4
sensor = (304, 240)  # width and height, as mmdet has them
load = dict(type='mmsterf.LoadEvents', time_steps=time_steps, duration=200_000, clip=10)
train_pipeline = [
    load,
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomResize', scale=sensor, ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(type='RandomCrop', crop_size=sensor, allow_negative_crop=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    load,
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
common = dict(type='mmsterf.EventCocoDataset', data_root=data_root, metainfo=dict(classes=('car', 'pedestrian')))
loader = dict(batch_size=8, num_workers=4, persistent_workers=True)
in_order = dict(**loader, drop_last=False, sampler=dict(type='DefaultSampler', shuffle=False))
train_dataloader = dict(
    **loader,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        **common,
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline,
    ),
)
shown = dict(**common, test_mode=True, pipeline=test_pipeline)
val_dataloader = dict(**in_order, dataset=dict(**shown, ann_file='annotations/val.json', data_prefix=dict(img='val/')))
test_dataloader = dict(
    **in_order, dataset=dict(**shown, ann_file='annotations/test.json', data_prefix=dict(img='test/'))
)
val_evaluator = dict(type='mmsterf.EventCocoMetric', ann_file=data_root + 'annotations/val.json', metric='bbox')
test_evaluator = dict(type='mmsterf.EventCocoMetric', ann_file=data_root + 'annotations/test.json', metric='bbox')
