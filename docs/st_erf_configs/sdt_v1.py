# Backbone alone, for docs/st_erf.md.
default_scope = 'mmsterf'
model = dict(type='mmsterf.SpikeDrivenTransformer', arch='8-384', output='folded', out_indices=(0, 1, 4, 8))
