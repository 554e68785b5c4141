"""Stand-in: the names that mmpretrain and timm need to be imported."""

from . import functional
from .transforms import InterpolationMode, RandomCrop, RandomResizedCrop, ToTensor

__all__ = ['InterpolationMode', 'RandomCrop', 'RandomResizedCrop', 'ToTensor', 'functional']
