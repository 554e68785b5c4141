# 200 epochs of LAMB as published for Spike-driven Transformer v3, whose backbones the paper's follow.
optim_wrapper = dict(
    # 6e-4 for 256 images, 2048 in all.
    optimizer=dict(type='Lamb', lr=4.8e-3, weight_decay=0.05, trust_clip=True),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-4, by_epoch=True, begin=0, end=5, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-6, by_epoch=True, begin=5, end=200, convert_to_iter_based=True),
]
train_cfg = dict(by_epoch=True, max_epochs=200, val_interval=1)
val_cfg = dict()
test_cfg = dict()
auto_scale_lr = dict(enable=False, base_batch_size=2048)
