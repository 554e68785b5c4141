"""mmseg's data preprocessor for sequences."""

from mmseg.models import SegDataPreProcessor

from mmsterf.registry import MODELS

from ..sequences import SequenceInputs


@MODELS.register_module()
class SequenceSegDataPreprocessor(SequenceInputs, SegDataPreProcessor):
    """mmseg's SegDataPreProcessor for inputs (T*C, H, W), with the arguments of SequenceInputs."""
