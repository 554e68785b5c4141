# Spiking RetinaNet on Meta-SDT v2 (15M, LIF neurons, T 4) for Prophesee's 1 Megapixel automotive detection data set at
# half size, in data/1mpx, or where the environment variable MMSTERF_1MPX_ROOT says; else as for Gen1. Boxes are
# evaluated at the size of the sensor. Not trained here: the data were not at hand.
_base_ = './retinanet_sdtv2_gen1.py'

data_root = '{{$MMSTERF_1MPX_ROOT:data/1mpx}}/'
half = (640, 360)  # width and height, as mmdet has them
train_pipeline = [
    *_base_.train_pipeline[:2],
    dict(type='RandomResize', scale=half, ratio_range=(0.8, 1.25), keep_ratio=True),
    dict(type='RandomCrop', crop_size=half, allow_negative_crop=True),
    *_base_.train_pipeline[4:],
]
test_pipeline = [
    _base_.test_pipeline[0],
    dict(type='Resize', scale=half, keep_ratio=True),
    *_base_.test_pipeline[1:],
]
common = dict(data_root=data_root, metainfo=dict(classes=('pedestrian', 'two wheeler', 'car')))
train_dataloader = dict(dataset=dict(**common, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(**common, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(**common, pipeline=test_pipeline))
val_evaluator = dict(ann_file=data_root + 'annotations/val.json')
test_evaluator = dict(ann_file=data_root + 'annotations/test.json')
model = dict(bbox_head=dict(num_classes=3))
