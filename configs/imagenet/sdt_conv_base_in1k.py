# Classifier, Meta-SDT base with its convolutional mixer (the baseline), e 4, ImageNet-1k, 200 epochs.
_base_ = [
    '../_base_/models/sdt_classifier.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/schedules/imagenet_lamb_200e.py',
    'mmpretrain::_base_/default_runtime.py',
]
