"""Channel mixers: the second branch of Meta-SDT's convolution blocks.

Source: spec of the paper, Section 4 ("MLPixer" and "SRB"). Each maps (T*N, C, H, W) to itself.

Two layouts exist. The released weights view the (C, H, W) buffer of an image as an (H*W, C) matrix without a
transpose (``layout='raster'``): a row is C consecutive pixels of one channel, so one linear layer carries information
along image rows, and the result depends on H and W. The formula in the paper reads as a linear layer over the
channels of each pixel with batch norms (``layout='pointwise'``), which is local.
"""

from collections import OrderedDict
from typing import Optional

from torch import Tensor, nn

from mmsterf.ranges import check_number
from mmsterf.registry import MODELS
from mmsterf.snn import SpikeLinear

from .layers import spike_conv_norm

LAYOUTS = ('raster', 'pointwise')


class RasterLinear(SpikeLinear):
    """Neuron, then a linear layer on raster rows.

    Shape:
        (T*N, C, H, W), viewed as (T*N, H*W, C) without a transpose, to (T*N, C', H, W).
    """

    def forward(self, x: Tensor) -> Tensor:
        c, h, w = x.shape[1:]
        rows = super().forward(x.flatten(1).unflatten(1, (h * w, c)))
        # Axis by axis, so that a graph with free height and width makes no assumption on them.
        return rows.flatten(1).unflatten(1, (self.out_features, h * w)).unflatten(2, (h, w))


def _check(mixer: str, channels: int, mlp_ratio: float, layout: str = 'raster', dropout: float = 0.0) -> None:
    check_number(f'mlp_ratio of {mixer}', mlp_ratio, least=1 / channels)
    check_number(f'dropout of {mixer}', dropout, least=0, most=1)
    if layout not in LAYOUTS:
        raise ValueError(f'layout of {mixer} must be one of {", ".join(LAYOUTS)}, got {layout!r}')


@MODELS.register_module()
class ConvMixer(nn.Sequential):
    """Baseline mixer of Meta-SDT: SN - conv 3x3 (C to eC) - BN - SN - conv 3x3 (eC to C) - BN.

    Args:
        channels (int): C.
        mlp_ratio (float): e.
        norm_cfg (dict, optional): Norm layer; batch norm by default.
        neuron (dict, optional): Neuron; I-LIF by default.
    """

    def __init__(
        self, channels: int, mlp_ratio: float = 4, norm_cfg: Optional[dict] = None, neuron: Optional[dict] = None
    ) -> None:
        _check('ConvMixer', channels, mlp_ratio)
        hidden = int(channels * mlp_ratio)
        super().__init__(
            OrderedDict(
                conv1=spike_conv_norm(channels, hidden, 3, norm_cfg, neuron),
                conv2=spike_conv_norm(hidden, channels, 3, norm_cfg, neuron),
            )
        )


class LinearMixer(nn.Sequential):
    """Base of the mixers with linear layers, which have two layouts.

    Args:
        channels (int): C.
        mlp_ratio (float): e.
        layout (str): 'raster' or 'pointwise'.
        dropout (float): Dropout probability behind each linear layer.
        norm_cfg (dict, optional): Norm layers; batch norm by default.
        neuron (dict, optional): Neuron; I-LIF by default.

    Raises:
        ValueError: If `layout` is unknown, `mlp_ratio` not positive, or `dropout` no probability.
    """

    def __init__(
        self,
        channels: int,
        mlp_ratio: float = 4,
        layout: str = 'raster',
        dropout: float = 0.0,
        norm_cfg: Optional[dict] = None,
        neuron: Optional[dict] = None,
    ) -> None:
        _check(type(self).__name__, channels, mlp_ratio, layout, dropout)
        make = getattr(self, f'_{layout}')
        super().__init__(make(channels, int(channels * mlp_ratio), dropout, norm_cfg, neuron or {'type': 'ILIF'}))


@MODELS.register_module()
class MLPixer(LinearMixer):
    """MLP mixer: two linear layers with a neuron in front of each. Takes the arguments of `LinearMixer`.

    ``raster``: SN - Linear - dropout - SN - Linear - dropout on raster rows, no norms: the released weights.
    ``pointwise``: SN - Linear - BN - dropout - SN - Linear - BN - dropout over the channels of each pixel: the formula.
    """

    def _raster(self, channels: int, hidden: int, dropout: float, norm_cfg, neuron: dict) -> OrderedDict:
        return OrderedDict(
            fc1=RasterLinear(channels, hidden, bias=False, neuron=neuron),
            drop1=nn.Dropout(dropout),
            fc2=RasterLinear(hidden, channels, bias=False, neuron=neuron),
            drop2=nn.Dropout(dropout),
        )

    def _pointwise(self, channels: int, hidden: int, dropout: float, norm_cfg, neuron: dict) -> OrderedDict:
        return OrderedDict(
            fc1=spike_conv_norm(channels, hidden, 1, norm_cfg, neuron),
            drop1=nn.Dropout(dropout),
            fc2=spike_conv_norm(hidden, channels, 1, norm_cfg, neuron),
            drop2=nn.Dropout(dropout),
        )


@MODELS.register_module()
class SRB(LinearMixer):
    """Splash-and-reconstruct block: one linear layer and one 3x3 convolution with a neuron in front of each. Takes the
    arguments of `LinearMixer`.

    ``raster``: SN - Linear (C to eC, raster rows) - dropout - SN - conv 3x3 (eC to C) - BN: the released weights.
    ``pointwise``: SN - conv 3x3 (C to eC) - BN - SN - Linear (eC to C, over channels) - BN - dropout: the formula.
    """

    def _raster(self, channels: int, hidden: int, dropout: float, norm_cfg, neuron: dict) -> OrderedDict:
        return OrderedDict(
            fc1=RasterLinear(channels, hidden, bias=False, neuron=neuron),
            drop1=nn.Dropout(dropout),
            conv2=spike_conv_norm(hidden, channels, 3, norm_cfg, neuron),
        )

    def _pointwise(self, channels: int, hidden: int, dropout: float, norm_cfg, neuron: dict) -> OrderedDict:
        return OrderedDict(
            conv1=spike_conv_norm(channels, hidden, 3, norm_cfg, neuron),
            fc2=spike_conv_norm(hidden, channels, 1, norm_cfg, neuron),
            drop2=nn.Dropout(dropout),
        )
