"""mmengine hooks."""

from .firing_rate_hook import FiringRateHook
from .resume_hooks import IterationSeedHook, SafeCheckpointHook
from .st_erf_hook import STERFHook

__all__ = ['FiringRateHook', 'IterationSeedHook', 'STERFHook', 'SafeCheckpointHook']
