"""Segmentation: spiking heads for stock mmseg segmentors. Imported on its own: detection does not need mmseg."""

from .fpn_head import SpikingFPNHead
from .sequence import SequenceSegDataPreprocessor

__all__ = ['SequenceSegDataPreprocessor', 'SpikingFPNHead']
