# Spiking Semantic FPN on Meta-SDT v2 (15M, LIF neurons, T 4) for DSEC-Semantic with 11 classes. mmseg's 40k iterations
# with the AdamW of _base_/schedules/semantic_fpn_160k.py. Not trained here: the data were not at hand.
_base_ = [
    '../_base_/models/semantic_fpn_sdt.py',
    '../_base_/datasets/dsec_semantic.py',
    'mmseg::_base_/schedules/schedule_40k.py',
    'mmseg::_base_/default_runtime.py',
]

time_steps = 4
neuron = dict(type='ILIF', normalize=False, time_steps=time_steps)
model = dict(
    type='mmsterf.SequenceEncoderDecoder',
    data_preprocessor=dict(
        _delete_=True,
        type='mmsterf.SequenceSegDataPreprocessor',
        time_steps=time_steps,
        pad_val=0,
        seg_pad_val=255,
        size=(432, 640),
        test_cfg=dict(size_divisor=16),
    ),
    backbone=dict(
        _delete_=True,
        type='mmsterf.MetaSDTv2',
        arch='15M',
        in_channels=2,
        time_steps=time_steps,
        output='folded',
        out_indices=(0, 1, 2, 4),
    ),
    neck=dict(in_channels=[32, 64, 128, 360], conv_cfg=dict(neuron=neuron)),
    decode_head=dict(num_classes=11, neuron=neuron),
)
optimizer = dict(_delete_=True, type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.005)
optim_wrapper = dict(optimizer=optimizer, paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=2.0)}))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=1500, end=40000),
]
tta_model = dict(type='SegTTAModel')
default_hooks = dict(visualization=dict(type='mmsterf.EventSegVisualizationHook'))
