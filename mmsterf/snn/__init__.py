"""Spiking building blocks on torch and spikingjelly alone."""

from .ilif import ILIF
from .layers import SpikeConv2d, SpikeConvTranspose2d, SpikeLinear
from .neurons import NEURONS, build_neuron, half_threshold
from .reparam import SpikeRepConv, fold_norms
from .surrogates import SURROGATES, build_surrogate
from .threshold import IF, LIF, PLIF, Izhikevich
from .time import fold, rate, unfold

__all__ = [
    'IF',
    'ILIF',
    'LIF',
    'NEURONS',
    'PLIF',
    'SURROGATES',
    'Izhikevich',
    'SpikeConv2d',
    'SpikeConvTranspose2d',
    'SpikeLinear',
    'SpikeRepConv',
    'build_neuron',
    'build_surrogate',
    'fold',
    'fold_norms',
    'half_threshold',
    'rate',
    'unfold',
]
