"""Layers that attention, mixers, blocks and stems share: a convolution, its norm and what comes with them."""

from collections import OrderedDict
from typing import Optional

from mmcv.cnn import build_norm_layer
from torch import nn

from mmsterf.snn import SpikeConv2d, build_neuron


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


def embed_layer(
    in_channels: int,
    out_channels: int,
    then: tuple,
    norm_cfg: dict,
    neuron: dict,
    kernel_size: int = 3,
    **kwargs,
) -> nn.Sequential:
    """`conv_norm`, then what `then` names in turn: a 'neuron', a 'pool' (max pool 3 s2 p1)."""
    layer = conv_norm(in_channels, out_channels, kernel_size, norm_cfg, **kwargs)
    for name in then:
        layer.add_module(name, build_neuron(neuron) if name == 'neuron' else nn.MaxPool2d(3, 2, 1))
    return layer
