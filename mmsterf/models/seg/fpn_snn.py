"""Neck and head of the published LIF segmentors, by their published names."""

from typing import Optional

from mmseg.models.necks import FPN
from torch import Tensor, nn

from mmsterf.registry import MODELS
from mmsterf.snn import SpikeConv2d
from mmsterf.snn.layers import like_weight

from .fpn_head import SpikingFPNHead

LIF = {'type': 'LIF'}


@MODELS.register_module()
class FPN_SNN(FPN):
    """mmseg's FPN with a LIF neuron in front of each convolution, and no activation behind it.

    Source: Yao et al., "Spike-driven Transformer V2", ICLR 2024, segmentation experiments.

    Args:
        *args: As mmseg's FPN.
        neuron (dict, optional): Neurons; LIF by default, of one time step: the published backbone averages its maps.
        **kwargs: As mmseg's FPN, but `conv_cfg` and `act_cfg`, which are a spiking convolution and None here.

    Shape:
        Maps of (T*N, C_i, H_i, W_i) to maps of (T*N, out_channels, H_i, W_i).
    """

    def __init__(self, *args, neuron: Optional[dict] = None, **kwargs) -> None:
        conv = {'type': 'mmsterf.SpikeConv2d', 'neuron': neuron or LIF}
        super().__init__(*args, **{**kwargs, 'conv_cfg': conv, 'act_cfg': None})


class _Classifier(SpikeConv2d):
    """Neuron, dropout, convolution: with dropout in front of it, a LIF neuron would fire less."""

    def __init__(self, *args, dropout_ratio: float, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.dropout = nn.Dropout2d(dropout_ratio)

    def forward(self, x: Tensor) -> Tensor:
        x = like_weight(self.dropout(self.neuron(x)), self.weight)
        return self._conv_forward(x, self.weight, self.bias)


@MODELS.register_module()
class FPNHead_SNN(SpikingFPNHead):
    """Semantic FPN head with LIF neurons: `SpikingFPNHead` with the published defaults.

    Source: Yao et al., "Spike-driven Transformer V2", ICLR 2024, segmentation experiments. `feature_strides` are those
    of the maps; the published configs say twice that, which makes the same head.

    Args:
        *args: As mmseg's FPNHead.
        neuron (dict, optional): Neurons; LIF by default, of one time step.
        dropout_ratio (float): Dropout between the classifier's neuron and its weights.
        **kwargs: As `SpikingFPNHead`.

    Shape:
        As `SpikingFPNHead`.
    """

    def __init__(self, *args, neuron: Optional[dict] = None, dropout_ratio: float = 0.1, **kwargs) -> None:
        super().__init__(*args, neuron=neuron or LIF, dropout_ratio=0.0, **kwargs)
        self.conv_seg = _Classifier(
            self.channels, self.out_channels, 1, neuron=neuron or LIF, dropout_ratio=dropout_ratio
        )
