"""Spiking Semantic FPN head."""

from typing import Optional

from mmseg.models.decode_heads import FPNHead
from torch import Tensor

from mmsterf.registry import MODELS
from mmsterf.snn import SpikeConv2d, rate


@MODELS.register_module()
class SpikingFPNHead(FPNHead):
    """Semantic FPN head with a neuron in front of each convolution and of the classifier, no ReLU and no dropout.

    Source: segmentation experiments of the paper; state-dict names are those of mmseg's head.

    Args:
        *args: As mmseg's FPNHead.
        neuron (dict, optional): Neurons; I-LIF with integer counts by default. Logits are averaged over its
            `time_steps`.
        dropout_ratio (float): Dropout in front of the classifier's neuron.
        **kwargs: As mmseg's FPNHead, but `conv_cfg` and `act_cfg`, which are a spiking convolution and None here.

    Shape:
        Maps of (T*N, C, H_i, W_i) to logits of (N, num_classes, H_0, W_0).
    """

    true_strides = True
    """`feature_strides` must be those of the maps, see `mmsterf.models.strides.check_strides`."""

    def __init__(self, *args, neuron: Optional[dict] = None, dropout_ratio: float = 0.0, **kwargs) -> None:
        spiking = {'conv_cfg': {'type': 'mmsterf.SpikeConv2d', 'neuron': neuron}, 'act_cfg': None}
        super().__init__(*args, dropout_ratio=dropout_ratio, **{**kwargs, **spiking})
        self.conv_seg = SpikeConv2d(self.channels, self.out_channels, 1, neuron=neuron)

    def cls_seg(self, feat: Tensor) -> Tensor:
        """Logits (N, num_classes, H, W) of a map (T*N, channels, H, W)."""
        return rate(super().cls_seg(feat), self.conv_seg.neuron.time_steps)
