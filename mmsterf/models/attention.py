"""Spiking self-attention: one frame, and per model its product of spikes and its projections.

Without a softmax the products need no map from pixels to pixels: time and memory are linear in the number of pixels.
"""

from collections import OrderedDict
from contextlib import nullcontext
from typing import Optional, Union

import torch
import torch.nn.functional as F
from mmcv.cnn import build_norm_layer
from torch import Tensor, nn

from mmsterf.errors import InvalidInput
from mmsterf.ranges import check_count, check_number
from mmsterf.snn import SpikeConv2d, SpikeRepConv, build_neuron, half_threshold

from .mixers import conv_norm, spike_conv_norm

_LIF = {'type': 'LIF'}

SCALES = ('published', 'unscaled', 'tokens')
"""Scales of `SDSA` by name."""
TOKENS = 196
"""Pixels that the published scale was trained with: 14 x 14, images of 224 x 224 pixels at stride 16."""


def _without_autocast(device_type: str):
    """Context without autocast; none where there is none, which keeps it out of exported graphs and off `meta`."""
    on = torch.amp.is_autocast_available(device_type) and torch.is_autocast_enabled(device_type)
    return torch.autocast(device_type, enabled=False) if on else nullcontext()


class NeuronPerPart(nn.ModuleDict):
    """Neurons that learn (PLIF): one each for q, k and v, as published; others need only one for all.

    Args:
        neuron (dict): Neuron config.
        widths (Sequence[int]): Channels of q, k (and v).

    Shape:
        (T*N, sum of widths, H, W) to the same.
    """

    def __init__(self, neuron: dict, widths: tuple) -> None:
        super().__init__({name: build_neuron(neuron) for name, _ in zip('qkv', widths)})
        self.widths = widths

    def forward(self, x: Tensor) -> Tensor:
        parts = zip(self.values(), x.split(self.widths, dim=1))
        return torch.cat([neuron(part) for neuron, part in parts], dim=1)


class SpikeAttention(nn.Module):
    """Spikes of q, k (and v) from one convolution and one norm, a product of them, and a projection back.

    Subclasses give `_product` and the projections.

    Args:
        qkv (nn.Module): C to `widths` channels, q, k (and v) in that order, each with its heads in order.
        widths (Sequence[int]): Channels of q, k (and v).
        proj (nn.Module): Channels of the product to C.
        num_heads (int): Attention heads.
        norm_cfg (dict, optional): Norm layer behind `qkv`; batch norm by default.
        neuron (dict): Neuron behind that norm.

    Shape:
        (T*N, C, H, W) to (T*N, C, H, W).

    Raises:
        ValueError: If a width is not a multiple of `num_heads`.
    """

    consecutive = (('qkv', 'norm'),)
    product_fires = False
    """Whether the product holds spikes, exact in any precision; sums go to the neuron of `proj` in full precision."""

    def __init__(
        self, qkv: nn.Module, widths: tuple, proj: nn.Module, num_heads: int, norm_cfg: Optional[dict], neuron: dict
    ) -> None:
        super().__init__()
        check_count(f'num_heads of {type(self).__name__}', num_heads)
        if any(width % num_heads for width in widths):
            raise ValueError(
                f'{type(self).__name__} needs channels that are a multiple of num_heads={num_heads}, got {widths[0]}'
            )
        self.num_heads = num_heads
        self.widths = widths
        self.qkv = qkv
        self.norm = build_norm_layer(norm_cfg or {'type': 'BN'}, sum(widths))[1]
        self.spike = build_neuron(neuron)
        if next(self.spike.parameters(), None) is not None:
            self.spike = NeuronPerPart(neuron, widths)
        self.proj = proj

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.spike(self.norm(self.qkv(x)))
        # Half precision would round the sums over pixels, and overflow on large images.
        dtype = spikes.dtype
        with _without_autocast(x.device.type):
            spikes = spikes.to(torch.promote_types(dtype, torch.float32))
            parts = (part.unflatten(1, (self.num_heads, -1)).flatten(3) for part in self._parts(spikes))
            y = self._product(*parts)
        if self.product_fires:
            y = y.to(dtype)
        return self.proj(y.flatten(1, 2).unflatten(-1, x.shape[-2:]))

    def _parts(self, spikes: Tensor) -> tuple:
        """Maps of q, k (and v)."""
        return spikes.split(self.widths, dim=1)

    def _product(self, *parts: Tensor) -> Tensor:
        """Combine q, k (and v), each (T*N, heads, channels, pixels), into one such map."""
        raise NotImplementedError


def _linear_product(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(q k^T) v, grouped as q (k^T v): spikes are whole or multiples of 1/4, which makes both sums exact."""
    return (v @ k.transpose(-2, -1)) @ q


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
        return _linear_product(q, k, v) * (self.scale * TOKENS / q.shape[-1] if self.per_token else self.scale)


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
        neuron = neuron or _LIF

        def norm(width: int) -> nn.Module:
            return build_norm_layer(norm_cfg or {'type': 'BN'}, width)[1]

        qkv = SpikeRepConv(channels, 3 * channels, 3, neuron, norm)
        conv = SpikeRepConv(channels, channels, 1, half_threshold(neuron), norm)
        proj = nn.Sequential(OrderedDict(conv=conv, norm=norm(channels)))
        super().__init__(qkv, (channels,) * 3, proj, num_heads, norm_cfg, neuron)

    def _product(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return _linear_product(q, k, v) * 0.125


class SSA(SpikeAttention):
    """Spiking self-attention of Spikformer: reads sums of spikes, ends in a neuron.

    q, k, v: 1x1 conv - BN - SN; y = q (k^T v) / 8; SN; 1x1 conv (bias) - BN - SN.
    Source: Zhou et al., "Spikformer: When Spiking Neural Network Meets Transformer", ICLR 2023.

    Takes the arguments of `RepSDSA`.
    """

    def __init__(
        self, channels: int, num_heads: int = 8, norm_cfg: Optional[dict] = None, neuron: Optional[dict] = None
    ) -> None:
        neuron = neuron or _LIF
        qkv = nn.Conv2d(channels, 3 * channels, 1, bias=False)
        proj = spike_conv_norm(channels, channels, 1, norm_cfg, half_threshold(neuron), bias=True)
        proj.add_module('neuron', build_neuron(neuron))
        super().__init__(qkv, (channels,) * 3, proj, num_heads, norm_cfg, neuron)

    def _product(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return _linear_product(q, k, v) * 0.125


class MaskSDSA(SpikeAttention):
    """Spike-driven self-attention of the first Spike-driven Transformer: a channel mask.

    SN; q, k, v: 1x1 conv - BN - SN; y = q * SN(sum over pixels of k * v); 1x1 conv (bias) - BN. Heads change nothing.
    Source: Yao et al., "Spike-driven Transformer", NeurIPS 2023.

    Args:
        channels (int): C.
        norm_cfg (dict, optional): Norm layers; batch norm by default.
        neuron (dict, optional): Neurons; LIF by default.

    Shape:
        (T*N, C, H, W) to (T*N, C, H, W).
    """

    def __init__(self, channels: int, norm_cfg: Optional[dict] = None, neuron: Optional[dict] = None) -> None:
        neuron = neuron or _LIF
        qkv = SpikeConv2d(channels, 3 * channels, 1, bias=False, neuron=neuron)
        proj = conv_norm(channels, channels, 1, norm_cfg, bias=True)
        super().__init__(qkv, (channels,) * 3, proj, 1, norm_cfg, neuron)
        self.mask = build_neuron(half_threshold(neuron))

    product_fires = True

    def _product(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return q * self.mask((k * v).sum(-1, keepdim=True))


class PooledMaskSDSA(MaskSDSA):
    """`MaskSDSA` for event data: spikes are widened by max pools (3x3, stride 1) everywhere in the product.

    As published: the maps of k and v are pooled over pixels. Their product, and in the end y, are pooled as tables of
    tokens (raster order) by channels of a head: over the pixel before and the one behind, and over neighbouring
    channels; so heads matter here.

    Args:
        channels (int): C.
        norm_cfg (dict, optional): Norm layers; batch norm by default.
        neuron (dict, optional): Neurons; LIF by default.
        num_heads (int): Attention heads.

    Shape:
        (T*N, C, H, W) to (T*N, C, H, W).

    Raises:
        ValueError: If C is not a multiple of `num_heads`.
    """

    def __init__(
        self, channels: int, norm_cfg: Optional[dict] = None, neuron: Optional[dict] = None, num_heads: int = 8
    ) -> None:
        super().__init__(channels, norm_cfg, neuron)
        check_count('channels of PooledMaskSDSA', channels, multiple_of=num_heads)
        self.num_heads = num_heads

    def _parts(self, spikes: Tensor) -> tuple:
        q, k, v = super()._parts(spikes)
        return q, _widened(k), _widened(v)

    def _product(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return _widened(q * self.mask(_widened(k * v).sum(-1, keepdim=True)))


def _widened(spikes: Tensor) -> Tensor:
    """Spikes that also stand at the neighbours of where they stood."""
    return F.max_pool2d(spikes, 3, 1, 1)


class TokenAttention(SpikeAttention):
    """Q-K token attention of QKFormer: a pixel mask per head. Reads sums of spikes, ends in a neuron.

    q, k: 1x1 conv - BN - SN; y = SN(sum over a head's channels of q) * k; 1x1 conv (bias) - BN - SN.
    Source: Zhou et al., "QKFormer: Hierarchical Spiking Transformer using Q-K Attention", NeurIPS 2024.

    Takes the arguments of `RepSDSA`.
    """

    def __init__(
        self, channels: int, num_heads: int = 8, norm_cfg: Optional[dict] = None, neuron: Optional[dict] = None
    ) -> None:
        neuron = neuron or _LIF
        qkv = nn.Conv2d(channels, 2 * channels, 1, bias=False)
        proj = conv_norm(channels, channels, 1, norm_cfg, bias=True)
        proj.add_module('neuron', build_neuron(neuron))
        super().__init__(qkv, (channels,) * 2, proj, num_heads, norm_cfg, neuron)
        self.mask = build_neuron(half_threshold(neuron))

    product_fires = True

    def _product(self, q: Tensor, k: Tensor) -> Tensor:
        return self.mask(q.sum(2, keepdim=True)) * k
