"""mmdet's data preprocessor for sequences."""

from mmdet.models.data_preprocessors import DetDataPreprocessor

from mmsterf.registry import MODELS

from ..sequences import SequenceInputs


@MODELS.register_module()
class SequenceDetDataPreprocessor(SequenceInputs, DetDataPreprocessor):
    """mmdet's DetDataPreprocessor for inputs (T*C, H, W), with the arguments of SequenceInputs."""
