# Spiking classifier on Meta-SDT: the last map, spatial mean, neuron with integer counts, linear layer.
model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='mmsterf.MetaSDT',
        arch='base',
        mixer=dict(type='ConvMixer'),
        mlp_ratio=4,
        out_indices=(4,),
        drop_path_rate=0.1,
    ),
    head=dict(
        type='mmsterf.SpikingClsHead',
        num_classes=1000,
        in_channels=360,
        loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
    ),
)
