"""Everything that configs name with ``type='mmsterf.X'`` in a model."""

from mmsterf.registry import MODELS
from mmsterf.snn import NEURONS, SpikeConv2d, SpikeConvTranspose2d, SpikeLinear

from .backbones import MetaSDT, MetaSDTv2, QKFormer, SpikeDrivenTransformer, Spikformer
from .mixers import SRB, ConvMixer, MLPixer
from .sdsa import SDSA

# The building blocks are plain torch modules; naming them in configs is this package's affair.
for module in (*NEURONS.values(), SpikeConv2d, SpikeConvTranspose2d, SpikeLinear):
    MODELS.register_module(module=module)

__all__ = [
    'SDSA',
    'SRB',
    'ConvMixer',
    'MLPixer',
    'MetaSDT',
    'MetaSDTv2',
    'QKFormer',
    'SpikeDrivenTransformer',
    'Spikformer',
]
