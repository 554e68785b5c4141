"""mmpretrain's data preprocessor for sequences."""

from mmpretrain.models.utils import ClsDataPreprocessor

from mmsterf.registry import MODELS

from ..sequences import SequenceInputs


@MODELS.register_module()
class SequenceClsDataPreprocessor(SequenceInputs, ClsDataPreprocessor):
    """mmpretrain's ClsDataPreprocessor for inputs (T*C, H, W), with the arguments of SequenceInputs.

    Args:
        to_rgb (bool): Turn the order of the channels of each step round, as `bgr_to_rgb` does.
        **kwargs: As SequenceInputs and ClsDataPreprocessor.
    """

    def __init__(self, *args, to_rgb: bool = False, bgr_to_rgb: bool = False, **kwargs) -> None:
        # mmpretrain's own turns three channels, whatever they are.
        super().__init__(*args, bgr_to_rgb=to_rgb or bgr_to_rgb, **kwargs)
