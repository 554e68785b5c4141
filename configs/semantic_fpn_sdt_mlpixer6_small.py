# As semantic_fpn_sdt_mlpixer6.py, with Meta-SDT small.
_base_ = './semantic_fpn_sdt_mlpixer6.py'

model = dict(backbone=dict(arch='small'), neck=dict(in_channels=[24, 48, 96, 240]))
