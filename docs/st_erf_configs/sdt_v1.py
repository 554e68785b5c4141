# Backbone alone, for docs/st_erf.md.
default_scope = 'mmsterf'
model = dict(type='mmsterf.SpikeDrivenTransformer', embed_dims=384, depth=8, output='folded', out_indices=(0, 1, 4, 8))
