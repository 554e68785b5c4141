"""Stand-in: the interpolation modes by Pillow's names, and base classes that mmpretrain and timm derive from."""

from enum import Enum


class InterpolationMode(Enum):
    """Names as torchvision's."""

    NEAREST = 'nearest'
    NEAREST_EXACT = 'nearest-exact'
    BILINEAR = 'bilinear'
    BICUBIC = 'bicubic'
    BOX = 'box'
    HAMMING = 'hamming'
    LANCZOS = 'lanczos'


class RandomResizedCrop:
    """A base class; cannot be built."""

    def __init__(self, *args, **kwargs) -> None:
        raise NotImplementedError('this torchvision is a stand-in of a CPU environment and transforms nothing')


class ToTensor(RandomResizedCrop):
    """A base class; cannot be built."""


class RandomCrop(RandomResizedCrop):
    """A base class; cannot be built."""
