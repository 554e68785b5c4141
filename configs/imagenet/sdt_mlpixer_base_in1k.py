# As sdt_conv_base_in1k.py, with MLPixer (raster rows), e 4.
_base_ = './sdt_conv_base_in1k.py'

# The class default of the public mixers, as in detection and segmentation; no ImageNet setting of it is published.
model = dict(backbone=dict(mixer=dict(type='MLPixer', layout='raster', dropout=0.2)))
