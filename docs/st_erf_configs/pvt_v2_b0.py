# Backbone alone, for docs/st_erf.md.
default_scope = 'mmdet'
model = dict(type='mmdet.PyramidVisionTransformerV2', embed_dims=32, num_layers=[2, 2, 2, 2])
st_erf_layers = ('layers.0.1.1', 'layers.1.1.1', 'layers.2.1.1', 'layers.3.1.1')
