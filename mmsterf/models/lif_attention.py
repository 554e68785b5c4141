"""Attention of the models of LIF neurons: Spikformer, the first Spike-driven Transformer, QKFormer."""

from typing import Optional

import torch.nn.functional as F
from torch import Tensor, nn

from mmsterf.ranges import check_count
from mmsterf.snn import SpikeConv2d, build_neuron, half_threshold

from .attention import SpikeAttention, linear_product
from .layers import conv_norm, spike_conv_norm

_LIF = {'type': 'LIF'}


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
        return linear_product(q, k, v) * 0.125


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

    def _maps(self, spikes: tuple) -> tuple:
        q, k, v = spikes
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
