"""Spike-driven self-attention of Meta-SDT: q (k^T v), of v3 with value expansion and of v2 re-parameterised."""

from collections import OrderedDict
from typing import Optional, Union

from mmcv.cnn import build_norm_layer
from torch import Tensor, nn

from mmsterf.errors import InvalidInput
from mmsterf.ranges import check_number
from mmsterf.snn import SpikeConv2d, SpikeRepConv, half_threshold

from .attention import SpikeAttention, linear_product
from .layers import spike_conv_norm

SCALES = ('published', 'unscaled', 'tokens')
"""Scales of `SDSA` by name."""
TOKENS = 196
"""Pixels that the published scale was trained with: 14 x 14, images of 224 x 224 pixels at stride 16."""


def check_scale(scale: Union[str, float]) -> None:
    """Refuse what is no scale of `SDSA`."""
    if isinstance(scale, str):
        if scale not in SCALES:
            raise InvalidInput(f'attention_scale must be one of {", ".join(SCALES)}, or a number, got {scale!r}')
    else:
        check_number('attention_scale', scale, above=0)


class SDSA(SpikeAttention):
    """Spike-driven self-attention with value expansion, of Meta-SDT v3.

    SN; q, k (C channels) and v (`value_ratio` C): 1x1 conv - BN - SN; y = q (k^T v) * 2 (C/heads)^-1/2; SN; 1x1 conv
    (back to C) - BN. As everywhere here, the neuron behind the product has half the threshold, if it has one.

    Args:
        channels (int): C.
        num_heads (int): Attention heads.
        value_ratio (int): Channels of v over C.
        norm_cfg (dict, optional): Norm layers; batch norm by default.
        neuron (dict, optional): Neurons; I-LIF by default.
        scale (str | float): Factor of the product. 'published': 2 (C/heads)^-1/2. 'unscaled': (C/heads)^-1/2, without
            the 2. 'tokens': as published, divided by pixels / 196. The sum over pixels grows with their number, the
            range of the neuron behind it does not: 'tokens' makes the product a mean, equal to the published one at
            14 x 14 pixels. A number is taken as it is.

    Shape:
        (T*N, C, H, W) to (T*N, C, H, W).

    Raises:
        ValueError: If C is not a multiple of `num_heads`, or `scale` neither a name nor a positive number.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int = 8,
        value_ratio: int = 4,
        norm_cfg: Optional[dict] = None,
        neuron: Optional[dict] = None,
        scale: Union[str, float] = 'published',
    ) -> None:
        check_scale(scale)
        neuron = neuron or {'type': 'ILIF'}
        widths = (channels, channels, value_ratio * channels)
        qkv = SpikeConv2d(channels, sum(widths), 1, bias=False, neuron=neuron)
        proj = spike_conv_norm(widths[-1], channels, 1, norm_cfg, half_threshold(neuron))
        super().__init__(qkv, widths, proj, num_heads, norm_cfg, neuron)
        root = (channels // num_heads) ** -0.5
        self.per_token = scale == 'tokens'
        self.scale = {'published': 2 * root, 'unscaled': root, 'tokens': 2 * root}.get(scale, scale)

    def _product(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return linear_product(q, k, v) * (self.scale * TOKENS / q.shape[-1] if self.per_token else self.scale)


class RepSDSA(SpikeAttention):
    """Spike-driven self-attention of Meta-SDT v2: re-parameterised convolutions.

    SN; q, k, v: RepConv - BN - SN; y = q (k^T v) / 8; SN; RepConv - BN. q, k and v are one `SpikeRepConv` of 3 groups.
    Source: Yao et al., "Spike-driven Transformer V2", ICLR 2024.

    Args:
        channels (int): C.
        num_heads (int): Attention heads.
        norm_cfg (dict, optional): Norm layers; batch norm by default.
        neuron (dict, optional): Neurons; LIF by default.

    Shape:
        (T*N, C, H, W) to (T*N, C, H, W).

    Raises:
        ValueError: If C is not a multiple of `num_heads`.
    """

    def __init__(
        self, channels: int, num_heads: int = 8, norm_cfg: Optional[dict] = None, neuron: Optional[dict] = None
    ) -> None:
        neuron = neuron or {'type': 'LIF'}

        def norm(width: int) -> nn.Module:
            return build_norm_layer(norm_cfg or {'type': 'BN'}, width)[1]

        qkv = SpikeRepConv(channels, 3 * channels, 3, neuron, norm)
        conv = SpikeRepConv(channels, channels, 1, half_threshold(neuron), norm)
        proj = nn.Sequential(OrderedDict(conv=conv, norm=norm(channels)))
        super().__init__(qkv, (channels,) * 3, proj, num_heads, norm_cfg, neuron)

    def _product(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return linear_product(q, k, v) * 0.125
