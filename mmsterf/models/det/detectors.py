"""mmdet's detectors, refusing strides that disagree with their backbone's."""

from mmdet.models.detectors import FasterRCNN as _FasterRCNN
from mmdet.models.detectors import MaskRCNN as _MaskRCNN
from mmdet.models.detectors import RetinaNet as _RetinaNet

from mmsterf.registry import MODELS

from .strides import check_strides


class _StrideChecked:
    """Adds `check_strides`: pass False to build a detector whose configured strides are meant to be wrong."""

    def __init__(self, *args, check_strides: bool = True, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.check_strides = check_strides
        _check(self)


_check = check_strides


@MODELS.register_module()
class MaskRCNN(_StrideChecked, _MaskRCNN):
    """mmdet's Mask R-CNN; raises ValueError at build if anchors' or RoI strides are not those of the maps."""


@MODELS.register_module()
class FasterRCNN(_StrideChecked, _FasterRCNN):
    """mmdet's Faster R-CNN; raises ValueError at build if anchors' or RoI strides are not those of the maps."""


@MODELS.register_module()
class RetinaNet(_StrideChecked, _RetinaNet):
    """mmdet's RetinaNet; raises ValueError at build if anchors' strides are not those of the maps."""
