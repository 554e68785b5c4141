# ImageNet-1k for backbones of LIF neurons without a published recipe that is given here: DeiT's schedule; the
# augmentation is that of Meta-SDT, without mixup and cutmix, which DeiT has.
_base_ = [
    './models/lif_classifier.py',
    './datasets/imagenet.py',
    './schedules/imagenet_deit_300e.py',
    'mmpretrain::_base_/default_runtime.py',
]

train_dataloader = dict(batch_size=128)
