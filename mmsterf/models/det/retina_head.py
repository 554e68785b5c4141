"""Spiking head of RetinaNet."""

from typing import Optional

from mmdet.models.dense_heads import RetinaHead
from torch import Tensor

from mmsterf.registry import MODELS
from mmsterf.snn import SpikeConv2d, rate


@MODELS.register_module()
class SpikingRetinaHead(RetinaHead):
    """RetinaNet's head with a neuron in front of each convolution, and no ReLU; names are those of mmdet's head.

    Args:
        *args: As mmdet's RetinaHead.
        neuron (dict, optional): Neurons; I-LIF with integer counts by default. Outputs are averaged over its
            `time_steps`.
        **kwargs: As mmdet's RetinaHead, but `conv_cfg`, which is a spiking convolution here.

    Shape:
        Maps of (T*N, C, H_i, W_i) to scores (N, A * classes, H_i, W_i) and box deltas (N, 4A, H_i, W_i).
    """

    def __init__(self, *args, neuron: Optional[dict] = None, **kwargs) -> None:
        self.neuron = neuron
        super().__init__(*args, **{**kwargs, 'conv_cfg': {'type': 'mmsterf.SpikeConv2d', 'neuron': neuron}})

    def _init_layers(self) -> None:
        super()._init_layers()
        for conv in (*self.cls_convs, *self.reg_convs):
            conv.with_activation = False
        for name in ('retina_cls', 'retina_reg'):
            plain = getattr(self, name)
            spiking = SpikeConv2d(plain.in_channels, plain.out_channels, 3, padding=1, neuron=self.neuron)
            setattr(self, name, spiking)

    def forward_single(self, x: Tensor) -> tuple:
        """Scores and box deltas of one level."""
        return tuple(rate(out, self.retina_cls.neuron.time_steps) for out in super().forward_single(x))
