# As sdt_srb_base_in1k.py, with Meta-SDT small.
_base_ = './sdt_srb_base_in1k.py'

model = dict(backbone=dict(arch='small'), head=dict(in_channels=240))
