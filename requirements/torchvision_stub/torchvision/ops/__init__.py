"""Stand-in: the module that mmpretrain imports; it has no operators."""

from . import boxes

__all__ = ['boxes']
