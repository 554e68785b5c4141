# Semantic FPN, Meta-SDT base with MLPixer (raster rows), e 6, ADE20K 512x512, 160k.
_base_ = './semantic_fpn_sdt_mlpixer.py'

model = dict(backbone=dict(mlp_ratio=6))
