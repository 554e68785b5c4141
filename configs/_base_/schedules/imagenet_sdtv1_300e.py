# 300 epochs of LAMB as in the settings that Spike-driven Transformer v1 is published with (its repository,
# conf/imagenet): lr 1.5e-3, weight decay 0.01, warm-up 20 epochs from 1e-5, cosine to 1.5e-5, 10 more epochs there.
optim_wrapper = dict(
    optimizer=dict(type='Lamb', lr=1.5e-3, weight_decay=0.01),
    # As timm does by default.
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-5 / 1.5e-3, by_epoch=True, begin=0, end=20, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1.5e-5, by_epoch=True, begin=20, end=300, convert_to_iter_based=True),
]
train_cfg = dict(by_epoch=True, max_epochs=310, val_interval=1)
val_cfg = dict()
test_cfg = dict()
# 48 images on each GPU are published, their number is not: 8 as in the papers that follow it.
auto_scale_lr = dict(enable=False, base_batch_size=384)
