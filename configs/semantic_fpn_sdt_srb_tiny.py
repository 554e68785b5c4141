# As semantic_fpn_sdt_srb.py, with Meta-SDT tiny, and 128 channels in neck and head.
_base_ = './semantic_fpn_sdt_srb.py'

model = dict(
    backbone=dict(arch='tiny'),
    neck=dict(in_channels=[16, 32, 64, 192], out_channels=128),
    decode_head=dict(in_channels=[128, 128, 128, 128], channels=128),
)
train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(base_batch_size=32)
