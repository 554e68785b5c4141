# As sdt_mlpixer_base_in1k.py, with Meta-SDT tiny.
_base_ = './sdt_mlpixer_base_in1k.py'

model = dict(backbone=dict(arch='tiny'), head=dict(in_channels=192))
