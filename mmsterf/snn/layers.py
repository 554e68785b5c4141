"""Weight layers with a spiking neuron in front: what they multiply is spikes.

They subclass torch's layers and add no parameters, so state-dict keys, initialisation, and everything that looks for
`nn.Conv2d` or `nn.Linear` stay the same.
"""

from typing import Optional

import torch
from torch import Tensor, nn

from .depthwise import depthwise_conv2d, is_slow
from .neurons import build_neuron


def like_weight(x: Tensor, weight: Tensor) -> Tensor:
    """A layer's input in the precision of its weights where these are of 16 bits, and autocast does not see to it.

    Behind a neuron nothing is lost: spikes are exact in any precision.
    """
    is_half = weight.dtype in (torch.float16, torch.bfloat16)
    return x.to(weight.dtype) if is_half and not torch.is_autocast_enabled(x.device.type) else x


class _Spiking:
    """Puts `neuron` in front of the layer it is mixed into.

    `neuron` is a config or a module (see `build_neuron`); the default is an I-LIF neuron that fires integer counts. A
    config has the neuron's own defaults: for counts, an I-LIF neuron is given ``normalize=False``.
    """

    def __init__(self, *args, neuron=None, with_bias: Optional[bool] = None, **kwargs) -> None:
        if with_bias is not None:
            kwargs['bias'] = with_bias
        super().__init__(*args, **kwargs)
        self.neuron = build_neuron(neuron, **({} if neuron else {'normalize': False}))

    def forward(self, x: Tensor, *args) -> Tensor:
        return super().forward(like_weight(self.neuron(x), self.weight), *args)


class SpikeConv2d(_Spiking, nn.Conv2d):
    """Neuron, then `nn.Conv2d`; takes its arguments, and `neuron`.

    ``conv_cfg=dict(type='mmsterf.SpikeConv2d')`` with ``act_cfg=None`` makes a stock neck spiking. `with_bias`
    overrules `bias`, which mmcv's ConvModule decides by itself.

    Shape:
        (T*N, C, H, W) to (T*N, C', H', W').
    """

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:
        if weight is not self.weight:
            raise NotImplementedError(
                'efficient_conv_bn_eval calls the convolution past its neuron; leave it out of a spiking model'
            )
        return depthwise_conv2d(self, x) if is_slow(self, x) else super()._conv_forward(x, weight, bias)


class SpikeConvTranspose2d(_Spiking, nn.ConvTranspose2d):
    """Neuron, then `nn.ConvTranspose2d`; takes its arguments, and `neuron`.

    Shape:
        (T*N, C, H, W) to (T*N, C', H', W').
    """


class SpikeLinear(_Spiking, nn.Linear):
    """Neuron, then `nn.Linear`; takes its arguments, and `neuron`.

    Shape:
        (T*N, ..., C) to (T*N, ..., C').
    """


SPIKING_LAYERS = (SpikeConv2d, SpikeConvTranspose2d, SpikeLinear)
"""All of them."""
