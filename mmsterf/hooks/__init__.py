"""mmengine hooks."""

from .finite_hook import FiniteHook
from .firing_rate_hook import FiringRateHook
from .resume_hooks import IterationSeedHook, SafeCheckpointHook
from .st_erf_hook import STERFHook
from .validation_hook import MissedValidationHook

__all__ = [
    'FiniteHook',
    'FiringRateHook',
    'IterationSeedHook',
    'MissedValidationHook',
    'STERFHook',
    'SafeCheckpointHook',
]
