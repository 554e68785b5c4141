"""mmdet's detectors, refusing strides and time steps that disagree with their backbone's."""

from mmdet.models.detectors import CascadeRCNN as _CascadeRCNN
from mmdet.models.detectors import FasterRCNN as _FasterRCNN
from mmdet.models.detectors import MaskRCNN as _MaskRCNN
from mmdet.models.detectors import RetinaNet as _RetinaNet

from mmsterf.registry import MODELS

from ..strides import check_strides
from ..time_steps import check_time_steps
from .precision import boxes_in_float32


class _StrideChecked:
    """Adds `check_strides`: pass False to build a detector whose configured strides are meant to be wrong."""

    def __init__(self, *args, check_strides: bool = True, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.check_strides = check_strides
        _check(self)
        check_time_steps(self)
        boxes_in_float32(self)


_check = check_strides


@MODELS.register_module()
class MaskRCNN(_StrideChecked, _MaskRCNN):
    """mmdet's Mask R-CNN; ValueError if anchors' or RoI strides, or time steps, are not those of the maps."""


@MODELS.register_module()
class FasterRCNN(_StrideChecked, _FasterRCNN):
    """mmdet's Faster R-CNN; ValueError if anchors' or RoI strides, or time steps, are not those of the maps."""


@MODELS.register_module()
class RetinaNet(_StrideChecked, _RetinaNet):
    """mmdet's RetinaNet; ValueError if anchors' strides, or time steps, are not those of the maps."""


@MODELS.register_module()
class CascadeRCNN(_StrideChecked, _CascadeRCNN):
    """mmdet's Cascade R-CNN, with masks or without; ValueError as `MaskRCNN`."""
