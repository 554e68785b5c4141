"""mmengine hooks."""

from .resume_hooks import IterationSeedHook, SafeCheckpointHook
from .st_erf_hook import STERFHook

__all__ = ['IterationSeedHook', 'STERFHook', 'SafeCheckpointHook']
