# Spiking Faster R-CNN on Meta-SDT (base, convolutional mixer, I-LIF neurons over T 4) for Gen1 automotive detection. 12
# epochs of AdamW, as retinanet_sdtv2_gen1.py. Not trained here: the data were not at hand.
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    '../_base_/datasets/gen1.py',
    '../_base_/schedules/mask_rcnn_1x.py',
    'mmdet::_base_/default_runtime.py',
]

time_steps = 4
neuron = dict(type='ILIF', normalize=False, time_steps=time_steps)
model = dict(
    type='mmsterf.FasterRCNN',
    data_preprocessor=dict(
        _delete_=True, type='mmsterf.SequenceDetDataPreprocessor', time_steps=time_steps, pad_size_divisor=32
    ),
    backbone=dict(
        _delete_=True,
        type='mmsterf.MetaSDT',
        arch='base',
        mixer=dict(type='ConvMixer'),
        in_channels=2,
        time_steps=time_steps,
        output='folded',
        out_indices=(1, 2, 3, 4),
    ),
    neck=dict(in_channels=[64, 128, 256, 360], conv_cfg=dict(type='mmsterf.SpikeConv2d', neuron=neuron)),
    rpn_head=dict(
        type='mmsterf.SpikingRPNHead',
        neuron=neuron,
        # Anchors of 16 to 256 pixels: boxes of half of COCO's sizes.
        anchor_generator=dict(strides=[4, 8, 16, 16, 32], base_sizes=[2, 4, 8, 16, 32]),
    ),
    roi_head=dict(
        bbox_roi_extractor=dict(
            type='mmsterf.SpikingRoIExtractor', time_steps=time_steps, featmap_strides=[4, 8, 16, 16], finest_scale=28
        ),
        bbox_head=dict(type='mmsterf.SpikingShared2FCBBoxHead', neuron=neuron, num_classes=2),
    ),
)
auto_scale_lr = dict(base_batch_size=8)
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
default_hooks = dict(visualization=dict(type='mmsterf.EventDetVisualizationHook'))
