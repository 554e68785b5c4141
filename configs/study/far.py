# Study, far task: the class of a digit is the colour of a mark far from it, in scenes of 96 x 96 pixels. The backbone
# ends with stage 1b, in front of all attention: only its mixers can look far.
_base_ = './seg.py'

crop_size = (96, 96)
metainfo = dict(
    _delete_=True, classes=('background', 'red', 'blue'), palette=[[90, 90, 90], [214, 39, 40], [31, 119, 180]]
)
load_labels = [
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='mmsterf.CheckLabelMap', num_classes=3),
]
train_pipeline = [dict(type='LoadImageFromFile'), *load_labels, dict(type='PackSegInputs')]
test_pipeline = train_pipeline
train_dataloader = dict(dataset=dict(metainfo=metainfo, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(metainfo=metainfo, pipeline=test_pipeline))
test_dataloader = val_dataloader

loss = dict(_delete_=True, type='CrossEntropyLoss', class_weight=[0.2, 1.0, 1.0], reduction='sum', loss_weight=1e-4)
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(arch=dict(embed_dims=(32, 64, 64, 64), depths=(1, 2, 1, 1, 1)), out_indices=(0, 1)),
    neck=dict(in_channels=[16, 32], num_outs=2),
    decode_head=dict(in_channels=[32, 32], in_index=[0, 1], feature_strides=[2, 4], num_classes=3, loss_decode=loss),
)
