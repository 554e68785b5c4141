# A classifier over 4 time steps of LIF neurons: name the backbone (`_delete_=True`, `output='folded'`) and the width of
# its last map in the head.
_base_ = './sdt_classifier.py'

time_steps = 4
model = dict(head=dict(neuron=dict(type='LIF', time_steps=time_steps)))
