# Spiking Cascade Mask R-CNN on Meta-SDT: mmdet's with a neuron in front of every weight layer.
_base_ = 'mmdet::_base_/models/cascade-mask-rcnn_r50_fpn.py'

model = dict(
    type='mmsterf.CascadeRCNN',
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
    rpn_head=dict(
        type='mmsterf.SpikingRPNHead',
        anchor_generator=dict(strides=[4, 8, 16, 16, 32], base_sizes=[4, 8, 16, 32, 64]),  # as mask_rcnn_sdt.py
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(featmap_strides=[4, 8, 16, 16]),
        bbox_head=[dict(head, type='mmsterf.SpikingShared2FCBBoxHead') for head in _base_.model.roi_head.bbox_head],
        mask_roi_extractor=dict(featmap_strides=[4, 8, 16, 16]),
        mask_head=dict(type='mmsterf.SpikingFCNMaskHead'),
    ),
)
