"""Stand-in: the modules that mmpretrain and timm import; it has no operators."""

from . import boxes, misc

__all__ = ['boxes', 'misc']
