# Spiking RetinaNet on Meta-SDT: mmdet's RetinaNet with a neuron in front of every weight layer.
_base_ = 'mmdet::_base_/models/retinanet_r50_fpn.py'

model = dict(
    type='mmsterf.RetinaNet',
    backbone=dict(
        _delete_=True,
        type='mmsterf.MetaSDT',
        arch='base',
        mixer=dict(type='ConvMixer'),
        mlp_ratio=4,
        out_indices=(1, 2, 3, 4),
        norm_cfg=dict(type='BN', requires_grad=True),
    ),
    neck=dict(in_channels=[64, 128, 256, 360], conv_cfg=dict(type='mmsterf.SpikeConv2d')),
    bbox_head=dict(
        type='mmsterf.SpikingRetinaHead',
        # The strides are those of the maps (the fourth stage keeps 16); with these base sizes and mmdet's scale of 4,
        # anchors are of 32 to 512 pixels as mmdet's.
        anchor_generator=dict(strides=[8, 16, 16, 32, 64], base_sizes=[8, 16, 32, 64, 128]),
    ),
)
