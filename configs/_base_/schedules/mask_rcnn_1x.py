# 12 epochs of AdamW as published: Section 5 of the paper, detection.
_base_ = 'mmdet::_base_/schedules/schedule_1x.py'

# Norms decay too: the published exemption of 'norm' fits no name of the public model.
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=2e-4, betas=(0.9, 0.999), weight_decay=0.05),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=1000),
    dict(type='MultiStepLR', begin=0, end=12, by_epoch=True, milestones=[8, 11], gamma=0.1),
]
# Published: 4 images on each of 4 GPUs, as the public scripts start them.
auto_scale_lr = dict(enable=False, base_batch_size=16)
