# Backbone alone, for docs/st_erf.md. In a list (a Sequential): its train() returns nothing, where eval() must.
default_scope = 'mmdet'
model = [dict(type='mmdet.SwinTransformer')]
st_erf_layers = ('0.stages.0.blocks.1', '0.stages.1.blocks.1', '0.stages.2.blocks.5', '0.stages.3.blocks.1')
