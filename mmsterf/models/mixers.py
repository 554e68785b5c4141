"""Channel mixers: the second branch of Meta-SDT's convolution blocks.

Source: spec of the paper, Section 4 ("MLPixer" and "SRB"). Each maps (T*N, C, H, W) to itself.

Two layouts exist. The released weights view the (C, H, W) buffer of an image as an (H*W, C) matrix without a
transpose (``layout='raster'``): a row is C consecutive pixels of one channel, so one linear layer carries information
along image rows, and the result depends on H and W. The formula in the paper reads as a linear layer over the
channels of each pixel with batch norms (``layout='pointwise'``), which is local.
"""

from collections import OrderedDict
from typing import Optional

from mmcv.cnn import build_norm_layer
from torch import Tensor, nn

from mmsterf.ranges import check_number
from mmsterf.registry import MODELS
from mmsterf.snn import SpikeConv2d, SpikeLinear

LAYOUTS = ('raster', 'pointwise')


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 1,
    norm_cfg: Optional[dict] = None,
    **kwargs,
) -> nn.Sequential:
    """Convolution that keeps the size at stride 1, norm; children `conv` and `norm`.

    Args:
        in_channels (int): Channels in.
        out_channels (int): Channels out.
        kernel_size (int): Kernel.
        norm_cfg (dict, optional): Norm layer; batch norm by default.
        **kwargs: As `nn.Conv2d`, or, with `neuron`, as `SpikeConv2d`: a neuron in front.
    """
    kwargs = {'padding': kernel_size // 2, 'bias': False, **kwargs}
    conv = (SpikeConv2d if 'neuron' in kwargs else nn.Conv2d)(in_channels, out_channels, kernel_size, **kwargs)
    norm = build_norm_layer(norm_cfg or {'type': 'BN'}, out_channels)[1]
    return nn.Sequential(OrderedDict(conv=conv, norm=norm))


def spike_conv_norm(
    in_channels: int,
    out_channels: int,
    kernel_size: int = 1,
    norm_cfg: Optional[dict] = None,
    neuron: Optional[dict] = None,
    **kwargs,
) -> nn.Sequential:
    """`conv_norm` with a neuron in front, I-LIF by default."""
    return conv_norm(in_channels, out_channels, kernel_size, norm_cfg, neuron=neuron or {'type': 'ILIF'}, **kwargs)


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


@MODELS.register_module()
class MLPixer(nn.Sequential):
    """MLP mixer: two linear layers with a neuron in front of each.

    ``raster``: SN - Linear - dropout - SN - Linear - dropout on raster rows, no norms: the released weights.
    ``pointwise``: SN - Linear - BN - dropout - SN - Linear - BN - dropout over the channels of each pixel: the formula.

    Args:
        channels (int): C.
        mlp_ratio (float): e.
        layout (str): 'raster' or 'pointwise'.
        dropout (float): Dropout probability behind each linear layer.
        norm_cfg (dict, optional): Norm layer of the pointwise layout; batch norm by default.
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
        _check('MLPixer', channels, mlp_ratio, layout, dropout)
        hidden = int(channels * mlp_ratio)
        if layout == 'raster':
            fc1, fc2 = (
                RasterLinear(*size, bias=False, neuron=neuron or {'type': 'ILIF'})
                for size in ((channels, hidden), (hidden, channels))
            )
        else:
            fc1 = spike_conv_norm(channels, hidden, 1, norm_cfg, neuron)
            fc2 = spike_conv_norm(hidden, channels, 1, norm_cfg, neuron)
        super().__init__(OrderedDict(fc1=fc1, drop1=nn.Dropout(dropout), fc2=fc2, drop2=nn.Dropout(dropout)))


@MODELS.register_module()
class SRB(nn.Sequential):
    """Splash-and-reconstruct block: one linear layer and one 3x3 convolution with a neuron in front of each.

    ``raster``: SN - Linear (C to eC, raster rows) - dropout - SN - conv 3x3 (eC to C) - BN: the released weights.
    ``pointwise``: SN - conv 3x3 (C to eC) - BN - SN - Linear (eC to C, over channels) - BN: the formula.

    Args:
        channels (int): C.
        mlp_ratio (float): e.
        layout (str): 'raster' or 'pointwise'.
        dropout (float): Dropout probability behind the linear layer.
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
        _check('SRB', channels, mlp_ratio, layout, dropout)
        hidden = int(channels * mlp_ratio)
        if layout == 'raster':
            layers = OrderedDict(
                fc1=RasterLinear(channels, hidden, bias=False, neuron=neuron or {'type': 'ILIF'}),
                drop1=nn.Dropout(dropout),
                conv2=spike_conv_norm(hidden, channels, 3, norm_cfg, neuron),
            )
        else:
            layers = OrderedDict(
                conv1=spike_conv_norm(channels, hidden, 3, norm_cfg, neuron),
                fc2=spike_conv_norm(hidden, channels, 1, norm_cfg, neuron),
                drop2=nn.Dropout(dropout),
            )
        super().__init__(layers)
