# Classifier, Spikformer 8-512, LIF neurons over 4 time steps, ImageNet-1k. DeiT's schedule, not the
# authors' own; the augmentation
# is that of Meta-SDT, without mixup and cutmix, which DeiT has.
_base_ = [
    '../_base_/models/sdt_classifier.py',
    '../_base_/datasets/imagenet.py',
    '../_base_/schedules/imagenet_deit_300e.py',
    'mmpretrain::_base_/default_runtime.py',
]

time_steps = 4
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmsterf.Spikformer',
        arch='8-512',
        time_steps=time_steps,
        output='folded',
        drop_path_rate=0.1,
    ),
    head=dict(in_channels=512, neuron=dict(type='LIF', time_steps=time_steps)),
)
train_dataloader = dict(batch_size=128)
