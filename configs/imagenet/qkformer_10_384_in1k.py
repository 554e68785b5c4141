# Classifier, QKFormer HST-10-384, LIF neurons over 4 time steps, ImageNet-1k. DeiT's schedule, not the authors' own.
_base_ = '../_base_/imagenet_lif_deit.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmsterf.QKFormer',
        arch='10-384',
        out_indices=(2,),
        time_steps={{_base_.time_steps}},
        output='folded',
        drop_path_rate=0.1,
    ),
    head=dict(in_channels=384),
)
