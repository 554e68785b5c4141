"""Spiking Semantic FPN head."""

from typing import Optional

import torch.nn.functional as F
from mmseg.models.decode_heads import FPNHead
from mmseg.models.utils import Upsample
from torch import Tensor, nn

from mmsterf.registry import MODELS
from mmsterf.snn import SpikeConv2d, rate


class _Double(nn.Module):
    """mmseg's Upsample by 2, in whole numbers: an exported graph with free height and width has no others."""

    def __init__(self, mode: str, align_corners: Optional[bool]) -> None:
        super().__init__()
        self.mode, self.align_corners = mode, align_corners

    def forward(self, x: Tensor) -> Tensor:
        size = [2 * side for side in x.shape[-2:]]
        return F.interpolate(x, size, mode=self.mode, align_corners=self.align_corners)


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
        for head in self.scale_heads:
            for name, child in head.named_children():
                if isinstance(child, Upsample):
                    head[int(name)] = _Double(child.mode, child.align_corners)

    def cls_seg(self, feat: Tensor) -> Tensor:
        """Logits (N, num_classes, H, W) of a map (T*N, channels, H, W)."""
        return rate(super().cls_seg(feat), self.conv_seg.neuron.time_steps)
