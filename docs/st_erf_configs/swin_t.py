# Backbone alone, for docs/st_erf.md.
default_scope = 'mmdet'
model = dict(type='mmdet.SwinTransformer')
st_erf_layers = ('stages.0.blocks.1', 'stages.1.blocks.1', 'stages.2.blocks.5', 'stages.3.blocks.1')
