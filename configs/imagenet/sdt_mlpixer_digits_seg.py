# As sdt_mlpixer_digits.py, the backbone of semantic_fpn_sdt_mlpixer_digits.py.
_base_ = './sdt_mlpixer_digits.py'

model = dict(
    backbone=dict(
        arch=dict(embed_dims=(64, 96, 96, 96), depths=(1, 1, 3, 1, 1)),
        mlp_ratio=2,
        residual_gain=0.5,
    ),
)
