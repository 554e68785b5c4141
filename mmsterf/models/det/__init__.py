"""Detection: spiking heads for stock mmdet detectors. Imported on its own: segmentation does not need mmdet."""

from .bbox_head import SpikingConvFCBBoxHead, SpikingShared2FCBBoxHead
from .detectors import FasterRCNN, MaskRCNN, RetinaNet
from .mask_head import SpikingFCNMaskHead
from .roi_extractor import SpikingRoIExtractor
from .rpn_head import SpikingRPNHead

__all__ = [
    'FasterRCNN',
    'MaskRCNN',
    'RetinaNet',
    'SpikingConvFCBBoxHead',
    'SpikingFCNMaskHead',
    'SpikingRPNHead',
    'SpikingRoIExtractor',
    'SpikingShared2FCBBoxHead',
]
