# N-MNIST (folders Train and Test with a folder of recordings for each digit, as it is published): a small classifier on
# the first three stages of Meta-SDT v2, LIF neurons, the three saccades of a recording in six steps; the head sees the
# mean over the steps. Not trained on the whole set here.
_base_ = 'mmpretrain::_base_/default_runtime.py'

time_steps = 6
data_root = '{{$MMSTERF_NMNIST_ROOT:data/nmnist}}'
load = dict(type='mmsterf.LoadEvents', time_steps=time_steps, clip=5, sensor=(34, 34))
pipeline = [load, dict(type='PackInputs')]
model = dict(
    type='ImageClassifier',
    data_preprocessor=dict(type='mmsterf.SequenceClsDataPreprocessor', time_steps=time_steps),
    backbone=dict(
        type='mmsterf.MetaSDTv2',
        arch=dict(embed_dims=(16, 32, 64, 96), depths=(1, 1, 2, 1, 1)),
        mixer=dict(type='ConvMixer'),
        mlp_ratio=2,
        in_channels=2,
        out_indices=(2,),
        residual_gain=0.5,
        time_steps=time_steps,
        neuron=dict(type='LIF', v_threshold=0.5, v_reset=None),
    ),
    head=dict(
        type='mmsterf.SpikingClsHead',
        num_classes=10,
        in_channels=32,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
)

dataset = dict(type='CustomDataset', data_root=data_root, extensions=('.bin', '.bs2'), pipeline=pipeline)
loader = dict(num_workers=2, persistent_workers=True, collate_fn=dict(type='default_collate'))
train_dataloader = dict(
    batch_size=64,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(data_prefix='Train', **dataset),
    **loader,
)
val_dataloader = dict(
    batch_size=64,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(data_prefix='Test', test_mode=True, **dataset),
    **loader,
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=(1,))
test_evaluator = val_evaluator

max_epochs = 10
train_cfg = dict(by_epoch=True, max_epochs=max_epochs, val_interval=1)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    optimizer=dict(type='AdamW', lr=1e-3, weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0),
    clip_grad=dict(max_norm=5.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.1, by_epoch=True, begin=0, end=1, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', by_epoch=True, begin=1, end=max_epochs, convert_to_iter_based=True),
]
