# DSEC-Semantic (Sun et al., ECCV 2022) with the events of DSEC in data/dsec, or where the environment variable
# MMSTERF_DSEC_ROOT says, both as they are downloaded:
#   train_events/SEQUENCE/events/left/{events.h5,rectify_map.h5}
#   train_semantic_segmentation/train/SEQUENCE/{11classes/*.png,SEQUENCE_semantic_timestamps.txt}
#   test_events and test_semantic_segmentation/test likewise
# The label maps are of the rectified view, without its 40 lowest rows. Windows of 200 ms before each label.
data_root = '{{$MMSTERF_DSEC_ROOT:data/dsec}}/'
time_steps = 4
load = dict(type='mmsterf.LoadEvents', time_steps=time_steps, duration=200_000, clip=10)
check = dict(type='mmsterf.CheckLabelMap', num_classes=11)
train_pipeline = [
    load,
    dict(type='LoadAnnotations'),
    check,
    dict(type='RandomResize', scale=(640, 440), ratio_range=(0.8, 1.6), keep_ratio=True),
    dict(type='RandomCrop', crop_size=(432, 640), cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
test_pipeline = [load, dict(type='LoadAnnotations'), check, dict(type='PackSegInputs')]
tta_pipeline = [
    load,
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale_factor=ratio, keep_ratio=True) for ratio in (0.75, 1.0, 1.25)],
            [dict(type='RandomFlip', prob=prob, direction='horizontal') for prob in (0.0, 1.0)],
            [dict(type='LoadAnnotations')],
            [check],
            [dict(type='PackSegInputs')],
        ],
    ),
]
metainfo = dict(
    classes=('background', 'building', 'fence', 'person', 'pole', 'road', 'sidewalk', 'vegetation', 'car', 'wall',
             'traffic sign'),
    palette=[[0, 0, 0], [70, 70, 70], [190, 153, 153], [220, 20, 60], [153, 153, 153], [128, 64, 128], [244, 35, 232],
             [107, 142, 35], [0, 0, 142], [102, 102, 156], [220, 220, 0]],
)  # fmt: skip
common = dict(type='mmsterf.DSECSemanticDataset', data_root=data_root, metainfo=metainfo)
loader = dict(num_workers=4, persistent_workers=True)
train_prefix = dict(img_path='train_events', seg_map_path='train_semantic_segmentation/train')
test_prefix = dict(img_path='test_events', seg_map_path='test_semantic_segmentation/test')
train_dataloader = dict(
    **loader,
    batch_size=4,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(**common, data_prefix=train_prefix, pipeline=train_pipeline),
)
val_dataloader = dict(
    **loader,
    batch_size=1,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**common, data_prefix=test_prefix, pipeline=test_pipeline),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
