# Backbone alone, for docs/st_erf.md.
default_scope = 'mmsterf'
model = dict(type='mmsterf.MetaSDT', arch='tiny', mixer=dict(type='SRB', layout='raster'), out_indices=range(5))
st_erf_layers = ('stage1a', 'stage1b', 'stage2', 'stage3', 'stage4')
