# Study, far task with the attention of stages 3 and 4, which sees the whole scene whatever the mixer does.
_base_ = './far.py'

model = dict(
    backbone=dict(arch=dict(depths=(1, 1, 2, 1, 1)), out_indices=(0, 1, 2, 4)),
    neck=dict(in_channels=[16, 32, 64, 64], num_outs=4),
    decode_head=dict(in_channels=[32, 32, 32, 32], in_index=[0, 1, 2, 3], feature_strides=[2, 4, 8, 16]),
)
