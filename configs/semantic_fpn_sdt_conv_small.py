# As semantic_fpn_sdt_conv.py, with Meta-SDT small.
_base_ = './semantic_fpn_sdt_conv.py'

model = dict(backbone=dict(arch='small'), neck=dict(in_channels=[24, 48, 96, 240]))
