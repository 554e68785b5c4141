# As semantic_fpn_sdt_srb.py, with Meta-SDT small, and 128 channels in neck and head.
_base_ = './semantic_fpn_sdt_srb.py'

model = dict(
    backbone=dict(arch='small'),
    neck=dict(in_channels=[24, 48, 96, 240], out_channels=128),
    decode_head=dict(in_channels=[128, 128, 128, 128], channels=128),
)
train_dataloader = dict(batch_size=8)
auto_scale_lr = dict(base_batch_size=32)
