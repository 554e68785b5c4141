# Mask R-CNN, Meta-SDT base with MLPixer (raster rows), e 6, COCO 1x.
_base_ = './mask_rcnn_sdt_mlpixer.py'

model = dict(backbone=dict(mlp_ratio=6))
