"""Spiking self-attention: the frame that all models share; their products of spikes are in `sdsa` and `lif_attention`.

Without a softmax the products need no map from pixels to pixels: time and memory are linear in the number of pixels.
"""

import copy
from contextlib import nullcontext
from typing import Optional

import torch
from mmcv.cnn import build_norm_layer
from torch import Tensor, nn

from mmsterf.ranges import check_count
from mmsterf.snn import build_neuron

from .pixel_product import PixelProduct, is_pixelwise


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
        return torch.cat(self.each(x.split(self.widths, dim=1)), dim=1)

    def each(self, parts: tuple) -> list:
        """Spikes of maps of q, k (and v)."""
        return [neuron(part) for neuron, part in zip(self.values(), parts)]


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

    def for_runtimes(self) -> None:
        """Write what other runtimes are slow at in another way; for a model that is run only, its norms folded.

        1x1 convolutions become `PixelProduct`, wider ones one each for q, k and v. Runtimes convolve maps that lie
        pixel by pixel: the product reads them channel by channel, so they would be copied into that order and back, and
        to cut such maps in parts is a slow copy, too.
        """
        if not isinstance(self.norm, nn.Identity):
            return
        if is_pixelwise(self.qkv):
            self.qkv = PixelProduct(self.qkv)
        elif isinstance(self.qkv, nn.Conv2d):
            self.qkv = nn.ModuleList(_rows(self.qkv, self.widths))
        if is_pixelwise(getattr(self.proj, 'conv', None)):
            self.proj.conv = PixelProduct(self.proj.conv)

    def forward(self, x: Tensor) -> Tensor:
        spikes = self._maps(self._spikes(x))
        # Half precision would round the sums over pixels, and overflow on large images.
        dtype = spikes[0].dtype
        wide = torch.promote_types(dtype, torch.float32)
        with _without_autocast(x.device.type):
            parts = (part.to(wide).unflatten(1, (self.num_heads, -1)).flatten(3) for part in spikes)
            y = self._product(*parts)
        if self.product_fires:
            y = y.to(dtype)
        return self.proj(y.flatten(1, 2).unflatten(-1, x.shape[-2:]))

    def _spikes(self, x: Tensor) -> tuple:
        """Spikes of q, k (and v), each (T*N, channels, H, W)."""
        if not isinstance(self.qkv, nn.ModuleList):
            return self.spike(self.norm(self.qkv(x))).split(self.widths, dim=1)
        parts = [conv(x) for conv in self.qkv]
        return tuple(self.spike.each(parts) if isinstance(self.spike, NeuronPerPart) else map(self.spike, parts))

    def _maps(self, spikes: tuple) -> tuple:
        """What the product reads of the spikes of q, k (and v)."""
        return spikes

    def _product(self, *parts: Tensor) -> Tensor:
        """Combine q, k (and v), each (T*N, heads, channels, pixels), into one such map."""
        raise NotImplementedError


def _rows(conv: nn.Conv2d, widths: tuple) -> list:
    """Convolutions of some output channels each, with the neuron of `conv`, if it has one, in common."""
    biases = [None] * len(widths) if conv.bias is None else conv.bias.detach().split(widths)
    found = []
    for weight, bias in zip(conv.weight.detach().split(widths), biases):
        part = copy.copy(conv)
        part.out_channels = len(weight)
        part._parameters = {
            'weight': nn.Parameter(weight.clone(), requires_grad=False),
            'bias': None if bias is None else nn.Parameter(bias.clone(), requires_grad=False),
        }
        found.append(part)
    return found


def linear_product(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """(q k^T) v, grouped as q (k^T v): spikes are whole or multiples of 1/4, which makes both sums exact.

    Args:
        q (Tensor): (N, heads, C, pixels), as `k` and `v`.
        k (Tensor): See `q`.
        v (Tensor): See `q`; C may be another.
    """
    number, heads = q.shape[:2]
    # Three axes, because exported products of four transpose k by a copy.
    q, k, v = (part.flatten(0, 1) for part in (q, k, v))
    return torch.bmm(torch.bmm(v, k.transpose(1, 2)), q).unflatten(0, (number, heads))
