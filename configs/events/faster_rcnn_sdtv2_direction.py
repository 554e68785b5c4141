# The events demo: the recordings and the network of the digits, but the class of a box is which way the digit goes.
# Digits are brighter or darker than the ground, at random: one picture does not tell, an ordered sequence does.
_base_ = './faster_rcnn_sdtv2_digits.py'

data_root = '{{$MMSTERF_EVENT_SCENES_ROOT:data/event_scenes}}/direction/'
# Colours that events do not have.
metainfo = dict(_delete_=True, classes=('left', 'right'), palette=[(0, 140, 60), (225, 120, 0)])
data = dict(data_root=data_root, metainfo=metainfo)
model = dict(roi_head=dict(bbox_head=dict(num_classes=2)))
train_dataloader = dict(dataset=data)
val_dataloader = dict(dataset=data)
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'annotations/val.json')
test_evaluator = val_evaluator

max_iters = 400
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=50, end=max_iters),
]
default_hooks = dict(checkpoint=dict(interval=max_iters))
