# As sdt_srb_base_in1k.py, with Meta-SDT tiny.
_base_ = './sdt_srb_base_in1k.py'

model = dict(backbone=dict(arch='tiny'), head=dict(in_channels=192))
