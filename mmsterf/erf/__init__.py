"""Spatio-temporal effective receptive fields of any `nn.Module`; needs torch and NumPy only."""

from .axes import AXES
from .calibrate import calibrated, firing_rates
from .compare import compare, comparison_lines
from .core import STERF, st_erf
from .ending import ending
from .files import replace_file, write_csv, write_json, write_maps
from .inputs import Noise, locate
from .layers import Layer, probe, select
from .metrics import measure, replknet_ratio
from .state import same_randomness, untouched

__all__ = [
    'AXES',
    'STERF',
    'Layer',
    'Noise',
    'calibrated',
    'compare',
    'comparison_lines',
    'ending',
    'firing_rates',
    'locate',
    'measure',
    'probe',
    'replace_file',
    'replknet_ratio',
    'same_randomness',
    'select',
    'st_erf',
    'untouched',
    'write_csv',
    'write_json',
    'write_maps',
]
