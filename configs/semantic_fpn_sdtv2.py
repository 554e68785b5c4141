# Semantic FPN, Meta-SDT v2 (31M, LIF neurons) over 4 time steps, ADE20K 512x512, 160k. Neck and head stay spiking over
# time and average the logits at the end. In training the backbone keeps 1.6 GiB per image and step (with_cp=True keeps
# less).
_base_ = './semantic_fpn_sdt_conv.py'

time_steps = 4
neuron = dict(type='ILIF', normalize=False, time_steps=time_steps)
model = dict(
    backbone=dict(type='mmsterf.MetaSDTv2', arch='31M', time_steps=time_steps, output='folded'),
    neck=dict(in_channels=[48, 96, 192, 480], conv_cfg=dict(neuron=neuron)),
    decode_head=dict(neuron=neuron),
)
