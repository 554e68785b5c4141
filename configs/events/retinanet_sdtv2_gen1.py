# Spiking RetinaNet on Meta-SDT v2 (15M, LIF neurons, T 4) for Gen1 automotive detection. 12 epochs of AdamW (mmdet's 1x
# schedule with the settings of _base_/schedules/mask_rcnn_1x.py). Not trained here: the data were not at hand.
_base_ = [
    '../_base_/models/retinanet_sdt.py',
    '../_base_/datasets/gen1.py',
    '../_base_/schedules/mask_rcnn_1x.py',
    'mmdet::_base_/default_runtime.py',
]

time_steps = 4
neuron = dict(type='ILIF', normalize=False, time_steps=time_steps)
model = dict(
    data_preprocessor=dict(
        _delete_=True, type='mmsterf.SequenceDetDataPreprocessor', time_steps=time_steps, pad_size_divisor=32
    ),
    backbone=dict(
        _delete_=True,
        type='mmsterf.MetaSDTv2',
        arch='15M',
        in_channels=2,
        time_steps=time_steps,
        output='folded',
        out_indices=(1, 2, 3, 4),
    ),
    neck=dict(in_channels=[64, 128, 256, 360], conv_cfg=dict(neuron=neuron)),
    # Anchors of 16 to 406 pixels: boxes of a quarter of COCO's sizes.
    bbox_head=dict(num_classes=2, neuron=neuron, anchor_generator=dict(base_sizes=[4, 8, 16, 32, 64])),
)
auto_scale_lr = dict(base_batch_size=8)
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
default_hooks = dict(visualization=dict(type='mmsterf.EventDetVisualizationHook'))
