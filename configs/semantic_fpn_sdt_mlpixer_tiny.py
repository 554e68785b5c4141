# As semantic_fpn_sdt_mlpixer.py, with Meta-SDT tiny.
_base_ = './semantic_fpn_sdt_mlpixer.py'

model = dict(backbone=dict(arch='tiny'), neck=dict(in_channels=[16, 32, 64, 192]))
