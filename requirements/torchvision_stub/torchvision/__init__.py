"""A stand-in for torchvision in CPU environments of tests, see README.md beside this package; it computes nothing."""

from . import datasets, ops, transforms

__version__ = '0.0.0+standin'

__all__ = ['datasets', 'ops', 'transforms']
