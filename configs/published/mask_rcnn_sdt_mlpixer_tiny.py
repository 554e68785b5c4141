# As mask_rcnn_sdt_conv.py here, with Meta-SDT tiny and MLPixer (raster rows), e 4.
_base_ = './mask_rcnn_sdt_conv_tiny.py'

model = dict(backbone=dict(mixer=dict(type='MLPixer', layout='raster', dropout=0.2)))
