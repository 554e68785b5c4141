"""Detection: spiking heads for stock mmdet detectors. Imported on its own: segmentation does not need mmdet."""

from .bbox_head import SpikingConvFCBBoxHead, SpikingShared2FCBBoxHead
from .detectors import CascadeRCNN, FasterRCNN, MaskRCNN, RetinaNet
from .mask_head import SpikingFCNMaskHead
from .retina_head import SpikingRetinaHead
from .roi_extractor import SpikingRoIExtractor
from .rpn_head import SpikingRPNHead
from .sequence import SequenceDetDataPreprocessor

__all__ = [
    'CascadeRCNN',
    'FasterRCNN',
    'MaskRCNN',
    'RetinaNet',
    'SequenceDetDataPreprocessor',
    'SpikingConvFCBBoxHead',
    'SpikingFCNMaskHead',
    'SpikingRPNHead',
    'SpikingRetinaHead',
    'SpikingRoIExtractor',
    'SpikingShared2FCBBoxHead',
]
