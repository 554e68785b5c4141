# Digit scenes in ADE20K's layout (tools/dataset_converters/make_digit_scenes.py). No flips: a mirrored digit is none.
_base_ = 'mmseg::_base_/datasets/ade20k.py'

data_root = '{{$MMSTERF_DIGITS_ROOT:data/digit_scenes}}/ade'
dataset_type = 'BaseSegDataset'
# Networks learn from scenes and labels of half the size, where a digit still has more pixels than its scan of 8x8. They
# are tested on scenes at 0.65 of the size, and evaluated at full size.
crop_size = (80, 80)
metainfo = dict(
    classes=('background', *'0123456789'),
    # as mmsterf.palette has them
    palette=[[90, 90, 90], [0, 195, 240], [120, 0, 150], [255, 210, 15], [120, 150, 30], [0, 0, 255], [180, 15, 15],
             [240, 30, 165], [225, 150, 150], [0, 255, 165], [105, 120, 255]],
)  # fmt: skip
scale = dict(type='Resize', scale=(104, 104), keep_ratio=False)
load_labels = [
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='mmsterf.CheckLabelMap', num_classes=len(metainfo['classes'])),
]
train_pipeline = [
    dict(type='LoadImageFromFile'),
    *load_labels,
    dict(type='RandomResize', scale=crop_size[::-1], ratio_range=(0.85, 1.3), keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='PackSegInputs'),
]
test_pipeline = [dict(type='LoadImageFromFile'), scale, *load_labels, dict(type='PackSegInputs')]
img_ratios = [0.55, 0.65, 0.75]
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='Resize', scale_factor=ratio, keep_ratio=True) for ratio in img_ratios],
            [load_labels[0]],
            [load_labels[1]],
            [dict(type='PackSegInputs')],
        ],
    ),
]
# What BaseSegDataset needs to be told and ADE20KDataset knows by itself.
dataset = dict(type=dataset_type, data_root=data_root, metainfo=metainfo, reduce_zero_label=True)
train_dataloader = dict(batch_size=8, num_workers=1, dataset=dict(pipeline=train_pipeline, **dataset))
val_dataloader = dict(num_workers=1, dataset=dict(pipeline=test_pipeline, **dataset))
test_dataloader = val_dataloader
