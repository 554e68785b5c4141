"""Spiking RoI mask head."""

from typing import Optional

from mmdet.models.roi_heads.mask_heads import FCNMaskHead
from torch import Tensor, nn

from mmsterf.registry import MODELS
from mmsterf.snn import SpikeConvTranspose2d, rate


@MODELS.register_module()
class SpikingFCNMaskHead(FCNMaskHead):
    """Mask head with a neuron in front of each convolution, of the upsampling and of the logits.

    Source: detection experiments of the paper; state-dict names are those of mmdet's head.

    Args:
        *args: As mmdet's FCNMaskHead.
        neuron (dict, optional): Neurons; I-LIF with integer counts by default. Outputs are averaged over its
            `time_steps`.
        **kwargs: As mmdet's FCNMaskHead, but `conv_cfg` and `predictor_cfg`, which are spiking convolutions here.
    """

    def __init__(self, *args, neuron: Optional[dict] = None, **kwargs) -> None:
        spiking = {'type': 'mmsterf.SpikeConv2d', 'neuron': neuron}
        super().__init__(*args, **{**kwargs, 'conv_cfg': spiking, 'predictor_cfg': dict(spiking)})
        # Published with ReLUs, which a neuron behind them makes needless at one time step, and which keep it from
        # leaving its potential at several.
        for conv in self.convs:
            conv.with_activation = False
        if self.upsample_method == 'deconv':
            up = self.upsample
            self.upsample = SpikeConvTranspose2d(
                up.in_channels, up.out_channels, up.kernel_size, stride=up.stride, neuron=neuron
            )
        self.relu = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Mask logits (R, classes, h, w) of RoI features (T*R, C, h', w')."""
        return rate(super().forward(x), self.conv_logits.neuron.time_steps)
