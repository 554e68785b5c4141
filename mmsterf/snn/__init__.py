"""Spiking building blocks on torch and spikingjelly alone."""

from .layers import SpikeConv2d, SpikeConvTranspose2d, SpikeLinear
from .neurons import ILIF, NEURONS, build_neuron
from .time import fold, rate, unfold

__all__ = [
    'ILIF',
    'NEURONS',
    'SpikeConv2d',
    'SpikeConvTranspose2d',
    'SpikeLinear',
    'build_neuron',
    'fold',
    'rate',
    'unfold',
]
