# 12 epochs of AdamW as published: Section 5 of the paper, detection.
_base_ = 'mmdet::_base_/schedules/schedule_1x.py'

optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=2e-4, betas=(0.9, 0.999), weight_decay=0.05),
    paramwise_cfg=dict(norm_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1),
]
# Published: 4 images per GPU; the number of GPUs is not. `--auto-scale-lr` takes 8 GPUs as the reference.
auto_scale_lr = dict(enable=False, base_batch_size=32)
