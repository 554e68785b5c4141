# The segmentor of Spike-driven Transformer v2 (15M, ADE20K 512x512), which its published checkpoints load into: maps
# are averaged over time, and neck and head have LIF neurons of one step.
_base_ = '../semantic_fpn_sdt_conv.py'

model = dict(
    backbone=dict(type='mmsterf.MetaSDTv2', arch='15M', time_steps=4, output='rate'),
    # As published, without norms. The published head says strides 4 to 32 of these maps, which makes the same head.
    neck=dict(_delete_=True, type='mmsterf.FPN_SNN', in_channels=[32, 64, 128, 360], out_channels=128, num_outs=4),
    decode_head=dict(type='mmsterf.FPNHead_SNN', dropout_ratio=0.1),
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys={'neck': dict(lr_mult=2.0)}))
