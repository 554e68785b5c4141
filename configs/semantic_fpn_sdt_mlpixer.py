# Semantic FPN, Meta-SDT base with MLPixer (raster rows), e 4, ADE20K 512x512, 160k.
_base_ = './semantic_fpn_sdt_conv.py'

model = dict(backbone=dict(mixer=dict(type='MLPixer', layout='raster', dropout=0.2)))
