# Mask R-CNN, Meta-SDT base with MLPixer (raster rows), e 4, COCO 1x.
_base_ = './mask_rcnn_sdt_conv.py'

model = dict(backbone=dict(mixer=dict(type='MLPixer', layout='raster', dropout=0.2)))
