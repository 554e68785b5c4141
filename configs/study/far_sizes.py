# Study, far task with attention on scenes that are enlarged to any size: `size` and the Resize are set by the study. A
# narrower model that is read from stride 4 on, because early stages of large pictures take most of the time.
_base_ = './far_attention.py'

scale = dict(type='Resize', scale=(128, 128), keep_ratio=False)
train_pipeline = [dict(type='LoadImageFromFile'), *_base_.load_labels, scale, dict(type='PackSegInputs')]
test_pipeline = [dict(type='LoadImageFromFile'), scale, *_base_.load_labels, dict(type='PackSegInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader

model = dict(
    data_preprocessor=dict(size=(128, 128)),
    backbone=dict(arch=dict(embed_dims=(8, 16, 32, 64), depths=(1, 1, 1, 1, 1)), out_indices=(1, 2, 4)),
    neck=dict(in_channels=[8, 16, 64], out_channels=16, num_outs=3),
    decode_head=dict(in_channels=[16, 16, 16], channels=16, in_index=[0, 1, 2], feature_strides=[4, 8, 16]),
)
