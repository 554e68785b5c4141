"""Spiking region proposal head."""

from typing import Optional

from mmdet.models.dense_heads import RPNHead
from torch import Tensor

from mmsterf.registry import MODELS
from mmsterf.snn import SpikeConv2d, rate


@MODELS.register_module()
class SpikingRPNHead(RPNHead):
    """RPN head with a neuron in front of each convolution, and no ReLU.

    Source: detection experiments of the paper; state-dict names are those of mmdet's head with one convolution.

    Args:
        *args: As mmdet's RPNHead.
        neuron (dict, optional): Neurons; I-LIF with integer counts by default. Outputs are averaged over its
            `time_steps`.
        **kwargs: As mmdet's RPNHead.
    """

    def __init__(self, *args, neuron: Optional[dict] = None, **kwargs) -> None:
        self.neuron = neuron
        super().__init__(*args, **kwargs)
        if self.num_convs != 1:
            raise ValueError(f'SpikingRPNHead has one convolution: num_convs must be 1, got {self.num_convs}')

    def _init_layers(self) -> None:
        outputs = self.num_base_priors
        width, kwargs = self.feat_channels, {'neuron': self.neuron}
        self.rpn_conv = SpikeConv2d(self.in_channels, width, 3, padding=1, **kwargs)
        self.rpn_cls = SpikeConv2d(width, outputs * self.cls_out_channels, 1, **kwargs)
        self.rpn_reg = SpikeConv2d(width, outputs * self.bbox_coder.encode_size, 1, **kwargs)

    def forward_single(self, x: Tensor) -> tuple:
        """Scores (N, A, H, W) and box deltas (N, 4A, H, W) of one level (T*N, C, H, W)."""
        x = self.rpn_conv(x)
        time_steps = self.rpn_cls.neuron.time_steps
        return rate(self.rpn_cls(x), time_steps), rate(self.rpn_reg(x), time_steps)
