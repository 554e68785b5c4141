# Classifier, Meta-SDT v2 15M, LIF neurons over 4 time steps, ImageNet-1k. DeiT's schedule, not the authors' own.
_base_ = '../_base_/imagenet_lif_deit.py'

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmsterf.MetaSDTv2',
        arch='15M',
        out_indices=(4,),
        time_steps={{_base_.time_steps}},
        output='folded',
        drop_path_rate=0.1,
    ),
    head=dict(in_channels=360),
)
