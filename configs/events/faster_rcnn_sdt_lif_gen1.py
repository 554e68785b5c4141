# As faster_rcnn_sdt_gen1.py, with LIF neurons in the backbone. Not trained here.
_base_ = './faster_rcnn_sdt_gen1.py'

model = dict(backbone=dict(neuron=dict(type='LIF')))
