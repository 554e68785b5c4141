# Semantic FPN, Meta-SDT base with SRB (raster rows), e 4, ADE20K 512x512, 160k.
_base_ = './semantic_fpn_sdt_conv.py'

model = dict(
    backbone=dict(mixer=dict(type='SRB', layout='raster')),
    # The published base run is twice as wide here as the others: 24.0 M parameters (its table says 19.2 M, which is what
    # 128 channels make).
    neck=dict(out_channels=256),
    decode_head=dict(in_channels=[256, 256, 256, 256], channels=256),
)
