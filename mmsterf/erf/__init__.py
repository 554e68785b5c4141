"""Spatio-temporal effective receptive fields of any `nn.Module`; needs torch and NumPy only."""

from .calibrate import calibrated, firing_rates
from .core import STERF, st_erf
from .inputs import Noise, locate
from .layers import AXES, Layer, probe, select

__all__ = ['AXES', 'STERF', 'Layer', 'Noise', 'calibrated', 'firing_rates', 'locate', 'probe', 'select', 'st_erf']
