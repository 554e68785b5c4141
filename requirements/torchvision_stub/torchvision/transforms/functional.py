"""Stand-in: without transforms; mmpretrain's own work on arrays."""

from .transforms import InterpolationMode

__all__ = ['InterpolationMode']
