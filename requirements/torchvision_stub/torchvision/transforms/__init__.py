"""Stand-in: the names that mmpretrain needs to be imported."""

from . import functional
from .transforms import InterpolationMode, RandomResizedCrop

__all__ = ['InterpolationMode', 'RandomResizedCrop', 'functional']
