# Backbone alone, for docs/st_erf.md.
default_scope = 'mmseg'
model = dict(type='mmseg.VisionTransformer', img_size=224, patch_size=16, embed_dims=384, num_layers=12, num_heads=6)
st_erf_layers = ('layers.2', 'layers.5', 'layers.8', 'layers.11')
