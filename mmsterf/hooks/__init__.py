"""mmengine hooks."""

from .resume_hooks import IterationSeedHook, SafeCheckpointHook

__all__ = ['IterationSeedHook', 'SafeCheckpointHook']
