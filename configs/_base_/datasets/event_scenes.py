# Moving digits before a simulated event camera (tools/dataset_converters/make_event_scenes.py): the class of a box is
# what the digit reads, in windows of 200 ms up to the label, as four steps, at half the size of the sensor. No flips: a
# mirrored digit is none, and goes the other way.
time_steps = 4
data_root = '{{$MMSTERF_EVENT_SCENES_ROOT:data/event_scenes}}/digits/'
metainfo = dict(classes=tuple('0123456789'))
load = dict(type='mmsterf.LoadEvents', time_steps=time_steps, duration=200_000, clip=5)
resize = dict(type='Resize', scale=(64, 48), keep_ratio=True)
train_pipeline = [load, dict(type='LoadAnnotations', with_bbox=True), resize, dict(type='PackDetInputs')]
test_pipeline = [
    load,
    resize,
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor', 'event_end')),
]
train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    batch_sampler=dict(type='AspectRatioBatchSampler'),
    dataset=dict(
        type='mmsterf.EventCocoDataset',
        data_root=data_root,
        ann_file='annotations/train.json',
        data_prefix=dict(img='train/'),
        metainfo=metainfo,
        filter_cfg=dict(filter_empty_gt=True),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='mmsterf.EventCocoDataset',
        data_root=data_root,
        ann_file='annotations/val.json',
        data_prefix=dict(img='val/'),
        metainfo=metainfo,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='mmsterf.EventCocoMetric', ann_file=data_root + 'annotations/val.json', metric='bbox')
test_evaluator = val_evaluator
