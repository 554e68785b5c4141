# Mask R-CNN, Meta-SDT v2 (31M, LIF neurons) over 4 time steps, COCO 1x. Neck and heads stay spiking over time and
# average their outputs at the end. Their integer counts work from nothing, where the small weights that mmdet starts
# heads with leave LIF neurons silent. In training the backbone keeps 6.4 KiB per pixel and step: 6 GiB for each step of
# an 800x1216 image (with_cp=True keeps less).
_base_ = './mask_rcnn_sdt_conv.py'

time_steps = 4
neuron = dict(type='ILIF', normalize=False, time_steps=time_steps)
model = dict(
    backbone=dict(type='mmsterf.MetaSDTv2', arch='31M', time_steps=time_steps, output='folded'),
    neck=dict(in_channels=[96, 192, 384, 480], conv_cfg=dict(neuron=neuron)),
    rpn_head=dict(neuron=neuron),
    roi_head=dict(
        bbox_roi_extractor=dict(type='mmsterf.SpikingRoIExtractor', time_steps=time_steps),
        bbox_head=dict(neuron=neuron),
        mask_roi_extractor=dict(type='mmsterf.SpikingRoIExtractor', time_steps=time_steps),
        mask_head=dict(neuron=neuron),
    ),
)
