# As mask_rcnn_sdt_conv.py here, with Meta-SDT tiny and SRB (raster rows), e 4.
_base_ = './mask_rcnn_sdt_conv_tiny.py'

model = dict(backbone=dict(mixer=dict(type='SRB', layout='raster', dropout=0.2)))
