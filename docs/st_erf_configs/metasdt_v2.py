# Backbone alone, for docs/st_erf.md.
default_scope = 'mmsterf'
model = dict(type='mmsterf.MetaSDTv2', arch='15M', output='folded', out_indices=range(5))
