"""Segmentation: spiking heads for stock mmseg segmentors. Imported on its own: detection does not need mmseg."""

from .fpn_head import SpikingFPNHead
from .fpn_snn import FPN_SNN, FPNHead_SNN
from .sequence import SequenceEncoderDecoder, SequenceSegDataPreprocessor

__all__ = ['FPN_SNN', 'FPNHead_SNN', 'SequenceEncoderDecoder', 'SequenceSegDataPreprocessor', 'SpikingFPNHead']
