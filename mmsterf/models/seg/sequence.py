"""mmseg's data preprocessor and segmentor for sequences."""

from mmseg.models import EncoderDecoder, SegDataPreProcessor
from torch import Tensor

from mmsterf.registry import MODELS

from ..sequences import SequenceInputs


@MODELS.register_module()
class SequenceSegDataPreprocessor(SequenceInputs, SegDataPreProcessor):
    """mmseg's SegDataPreProcessor for inputs (T*C, H, W), with the arguments of SequenceInputs."""


@MODELS.register_module()
class SequenceEncoderDecoder(EncoderDecoder):
    """mmseg's EncoderDecoder for sequences (T, N, C, H, W), also with ``test_cfg=dict(mode='slide')``.

    The stock class cuts its inputs at the third and fourth axis; here they are cut with time in the channels.
    """

    def slide_inference(self, inputs: Tensor, batch_img_metas: list) -> Tensor:
        """As mmseg's; logits (N, classes, H, W)."""
        flat = inputs.transpose(0, 1).flatten(1, 2) if inputs.dim() == 5 else inputs
        return super().slide_inference(flat, batch_img_metas)

    def encode_decode(self, inputs: Tensor, batch_img_metas: list) -> Tensor:
        """As mmseg's, for sequences, and parts of them whose time is in the channels."""
        if inputs.dim() == 4 and getattr(self.data_preprocessor, 'layout', None) == 'steps':
            inputs = inputs.unflatten(1, (self.data_preprocessor.time_steps, -1)).transpose(0, 1)
        return super().encode_decode(inputs, batch_img_metas)
