# Spiking Mask R-CNN on Meta-SDT: mmdet's Mask R-CNN with a neuron in front of every weight layer.
_base_ = 'mmdet::_base_/models/mask-rcnn_r50_fpn.py'

model = dict(
    type='mmsterf.MaskRCNN',
    backbone=dict(
        _delete_=True,
        type='mmsterf.MetaSDT',
        arch='base',
        mixer=dict(type='ConvMixer'),
        mlp_ratio=4,
        out_indices=(1, 2, 3, 4),
        norm_cfg=dict(type='BN', requires_grad=True),
    ),
    neck=dict(
        in_channels=[64, 128, 256, 360],
        conv_cfg=dict(type='mmsterf.SpikeConv2d'),
    ),
    rpn_head=dict(
        type='mmsterf.SpikingRPNHead',
        # The strides are those of the maps (the fourth stage keeps 16, the fifth map pools it); the sizes are mmdet's
        # 32 to 512 pixels, which would otherwise follow the strides.
        anchor_generator=dict(strides=[4, 8, 16, 16, 32], base_sizes=[4, 8, 16, 32, 64]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[4, 8, 16, 16]),
        bbox_head=dict(type='mmsterf.SpikingShared2FCBBoxHead'),
        mask_roi_extractor=dict(featmap_strides=[4, 8, 16, 16]),
        mask_head=dict(type='mmsterf.SpikingFCNMaskHead'),
    ),
)
