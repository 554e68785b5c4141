# As mask_rcnn_sdt_conv.py here, with Meta-SDT tiny.
_base_ = './mask_rcnn_sdt_conv.py'

model = dict(backbone=dict(arch='tiny'), neck=dict(in_channels=[32, 64, 128, 192]))
