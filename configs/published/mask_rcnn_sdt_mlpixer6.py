# As mask_rcnn_sdt_conv.py here, with MLPixer (raster rows), e 6.
_base_ = './mask_rcnn_sdt_conv.py'

model = dict(backbone=dict(mixer=dict(type='MLPixer', layout='raster', dropout=0.2), mlp_ratio=6))
