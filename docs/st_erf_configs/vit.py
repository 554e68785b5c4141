# Backbone alone, for docs/st_erf.md. In a list (a Sequential): its train() returns nothing, where eval() must.
default_scope = 'mmseg'
model = [
    dict(type='mmseg.VisionTransformer', img_size=224, patch_size=16, embed_dims=384, num_layers=12, num_heads=6),
]
st_erf_layers = ('0.layers.2', '0.layers.5', '0.layers.8', '0.layers.11')
