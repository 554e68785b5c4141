"""Spiking RoI box head."""

from typing import Optional

from mmdet.models.roi_heads.bbox_heads import ConvFCBBoxHead
from torch import Tensor, nn

from mmsterf.registry import MODELS
from mmsterf.snn import SpikeConv2d, SpikeLinear, build_neuron, rate


@MODELS.register_module()
class SpikingConvFCBBoxHead(ConvFCBBoxHead):
    """Box head with a neuron in front of each fully connected layer, and no ReLU behind it.

    The class and box layers are plain, as published; ``cls_predictor_cfg=dict(type='mmsterf.SpikeLinear')`` makes
    them spiking. Convolutions become spiking by ``conv_cfg=dict(type='mmsterf.SpikeConv2d')``.
    Source: detection experiments of the paper; state-dict names are those of mmdet's head.

    Args:
        *args: As mmdet's ConvFCBBoxHead.
        neuron (dict, optional): Neurons; I-LIF with integer counts by default. Outputs are averaged over its
            `time_steps`.
        **kwargs: As mmdet's ConvFCBBoxHead.
    """

    def __init__(self, *args, neuron: Optional[dict] = None, **kwargs) -> None:
        self.neuron = neuron
        super().__init__(*args, **kwargs)
        self.time_steps = build_neuron(neuron).time_steps
        self.relu = nn.Identity()

    def _add_conv_fc_branch(self, *args, **kwargs) -> tuple:
        convs, fcs, width = super()._add_conv_fc_branch(*args, **kwargs)
        for conv in convs:
            # A ReLU in front of a neuron changes nothing at one time step, and keeps its potential up at several.
            if isinstance(conv.conv, SpikeConv2d):
                conv.with_activation = False
        spiking = (SpikeLinear(fc.in_features, fc.out_features, neuron=self.neuron) for fc in fcs)
        return convs, nn.ModuleList(spiking), width

    def forward(self, x: Tensor) -> tuple:
        """Class scores (R, classes + 1) and box deltas (R, 4 classes) of RoI features (T*R, C, h, w)."""
        return tuple(out if out is None else rate(out, self.time_steps) for out in super().forward(x))


@MODELS.register_module()
class SpikingShared2FCBBoxHead(SpikingConvFCBBoxHead):
    """Box head of the paper: two shared fully connected layers.

    Args:
        fc_out_channels (int): Width of both layers.
        **kwargs: As `SpikingConvFCBBoxHead`.
    """

    def __init__(self, fc_out_channels: int = 1024, **kwargs) -> None:
        super().__init__(num_shared_fcs=2, fc_out_channels=fc_out_channels, **kwargs)
