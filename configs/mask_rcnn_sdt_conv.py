# Mask R-CNN, Meta-SDT base with its convolutional mixer (the baseline), e 4, COCO 1x.
_base_ = [
    './_base_/models/mask_rcnn_sdt.py',
    './_base_/datasets/coco_instance.py',
    './_base_/schedules/mask_rcnn_1x.py',
    'mmdet::_base_/default_runtime.py',
]
