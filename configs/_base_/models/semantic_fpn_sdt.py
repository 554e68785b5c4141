# Spiking Semantic FPN on Meta-SDT: mmseg's Semantic FPN with a neuron in front of every weight layer.
_base_ = 'mmseg::_base_/models/fpn_r50.py'

norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    data_preprocessor=dict(size=(512, 512)),
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='mmsterf.MetaSDT',
        arch='base',
        mixer=dict(type='ConvMixer'),
        mlp_ratio=4,
        out_indices=(0, 1, 2, 4),
        norm_cfg=dict(type='BN', requires_grad=True),  # as published: not synchronised
    ),
    # The spiking FPN is the detector's: the task's own stock FPN with spiking convolutions, so that neither task needs
    # the other's package. Here its convolutions have a bias and a norm, as published.
    neck=dict(
        in_channels=[32, 64, 128, 360],
        out_channels=128,
        conv_cfg=dict(type='mmsterf.SpikeConv2d', with_bias=True),
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        type='mmsterf.SpikingFPNHead',
        in_channels=[128, 128, 128, 128],
        feature_strides=[2, 4, 8, 16],
        dropout_ratio=0.0,
        num_classes=150,
    ),
)
