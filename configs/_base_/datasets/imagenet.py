# ImageNet-1k in data/imagenet, or where the environment variable MMSTERF_IMAGENET_ROOT says: folders train and val,
# with a folder of images for each class. Augmentation as published for Spike-driven Transformer v3: random resized
# crops, flips, RandAugment m9-mstd0.5-inc1, random erasing 0.25 by pixels; no colour jitter, mixup or cutmix.
_base_ = 'mmpretrain::_base_/datasets/imagenet_bs64_swin_224.py'

data_root = '{{$MMSTERF_IMAGENET_ROOT:data/imagenet}}'
# 8 GPUs as published.
train_dataloader = dict(batch_size=256, num_workers=8, dataset=dict(data_root=data_root))
val_dataloader = dict(batch_size=256, num_workers=8, dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
