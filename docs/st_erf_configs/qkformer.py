# Backbone alone, for docs/st_erf.md.
default_scope = 'mmsterf'
model = dict(type='mmsterf.QKFormer', embed_dims=384, num_heads=8, output='folded')
