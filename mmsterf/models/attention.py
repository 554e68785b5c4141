"""Spike-driven self-attention (SDSA)."""

from typing import Optional

import torch
from mmcv.cnn import build_norm_layer
from torch import Tensor, nn

from mmsterf.snn import SpikeConv2d, build_neuron

from .mixers import spike_conv_norm


class SDSA(nn.Module):
    """Spike-driven self-attention with value expansion, of Meta-SDT v3.

    SN; q, k (C channels) and v (`value_ratio` C): 1x1 conv - BN - SN; y = q (k^T v) * 2 (C/heads)^-1/2; SN; 1x1 conv
    (back to C) - BN. There is no softmax, so grouping the product as q (k^T v) gives what (q k^T) v does, in time and
    memory linear in the number of pixels; spikes are multiples of 1/4, which makes both sums exact. q, k and v are one
    convolution and one norm, their channels in that order.

    Args:
        channels (int): C.
        num_heads (int): Attention heads.
        value_ratio (int): Channels of v over C.
        norm_cfg (dict, optional): Norm layers; batch norm by default.
        neuron (dict, optional): Neurons; I-LIF by default.

    Shape:
        (T*N, C, H, W) to (T*N, C, H, W).

    Raises:
        ValueError: If C is not a multiple of `num_heads`.
    """

    def __init__(
        self,
        channels: int,
        num_heads: int = 8,
        value_ratio: int = 4,
        norm_cfg: Optional[dict] = None,
        neuron: Optional[dict] = None,
    ) -> None:
        super().__init__()
        if channels % num_heads:
            raise ValueError(f'SDSA needs channels that are a multiple of num_heads={num_heads}, got {channels}')
        self.num_heads = num_heads
        self.widths = (channels, channels, value_ratio * channels)
        self.scale = 2 * (channels // num_heads) ** -0.5
        neuron = neuron or {'type': 'ILIF'}
        self.qkv = SpikeConv2d(channels, sum(self.widths), 1, bias=False, neuron=neuron)
        self.norm = build_norm_layer(norm_cfg or {'type': 'BN'}, sum(self.widths))[1]
        self.spike = build_neuron(neuron)
        self.proj = spike_conv_norm(value_ratio * channels, channels, 1, norm_cfg, neuron)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self.spike(self.norm(self.qkv(x)))
        # Half precision would round the sums over pixels, and overflow on large images.
        with torch.autocast(x.device.type, enabled=False):
            spikes = spikes.to(torch.promote_types(spikes.dtype, torch.float32))
            q, k, v = (part.unflatten(1, (self.num_heads, -1)).flatten(3) for part in spikes.split(self.widths, dim=1))
            y = (v @ k.transpose(-2, -1)) @ q * self.scale
        return self.proj(y.flatten(1, 2).unflatten(-1, x.shape[-2:]))
