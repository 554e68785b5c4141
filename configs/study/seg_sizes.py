# Study, segmentation of scenes that are enlarged to the size that the study sets. A narrower model that is read from
# stride 4 on, because early stages of large pictures take most of the time.
_base_ = './seg.py'

model = dict(
    backbone=dict(arch=dict(embed_dims=(8, 16, 32, 64), depths=(1, 1, 1, 1, 1)), out_indices=(1, 2, 4)),
    neck=dict(in_channels=[8, 16, 64], out_channels=16, num_outs=3),
    decode_head=dict(in_channels=[16, 16, 16], channels=16, in_index=[0, 1, 2], feature_strides=[4, 8, 16]),
)
