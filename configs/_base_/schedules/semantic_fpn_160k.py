# 160k iterations of AdamW as published: Section 5 of the paper, segmentation.
_base_ = 'mmseg::_base_/schedules/schedule_160k.py'

optimizer = dict(_delete_=True, type='AdamW', lr=1e-3, betas=(0.9, 0.999), weight_decay=0.005)
optim_wrapper = dict(
    optimizer=dict(optimizer),
    paramwise_cfg=dict(custom_keys={'decode_head': dict(lr_mult=2.0)}),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=1500),
    dict(type='PolyLR', power=1.0, eta_min=0.0, by_epoch=False, begin=1500, end=160000),
]
# Published: 6 (SRB base) to 10 images on each of 4 GPUs; which model had how many is not, so the others take 8.
auto_scale_lr = dict(enable=False, base_batch_size=32)
