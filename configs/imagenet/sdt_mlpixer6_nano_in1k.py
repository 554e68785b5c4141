# As sdt_mlpixer6_base_in1k.py, with Meta-SDT nano.
_base_ = './sdt_mlpixer6_base_in1k.py'

model = dict(backbone=dict(arch='nano'), head=dict(in_channels=128))
