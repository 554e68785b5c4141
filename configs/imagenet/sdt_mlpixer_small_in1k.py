# As sdt_mlpixer_base_in1k.py, with Meta-SDT small.
_base_ = './sdt_mlpixer_base_in1k.py'

model = dict(backbone=dict(arch='small'), head=dict(in_channels=240))
