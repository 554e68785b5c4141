"""Residual blocks: branches add to the stream.

In the spike-driven Transformers branches read spikes and add membrane potential; in Spikformer and QKFormer they read
the sums of spikes that branches before them added, and add spikes.
"""

from collections import OrderedDict
from functools import partial
from typing import Optional, Union

import torch
from mmcv.cnn.bricks.drop import DropPath
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmsterf.ranges import check_number
from mmsterf.registry import build
from mmsterf.snn import build_neuron

from .layers import conv_norm, spike_conv_norm
from .sdsa import SDSA


class SepConv(nn.Sequential):
    """Separable convolution: (SN - 1x1 - BN), (SN - k x k depthwise - BN), (SN - 1x1 - BN), 2C channels inside.

    Args:
        channels (int): C.
        kernel_size (int): k.
        norm_cfg (dict, optional): Norm layers; batch norm by default.
        neuron (dict, optional): Neurons; I-LIF by default.
        spike_between (bool): False leaves out the BN and SN between the depthwise and the second 1x1 convolution, as
            Meta-SDT v2 does.

    Shape:
        (T*N, C, H, W) to (T*N, C, H, W).
    """

    def __init__(
        self,
        channels: int,
        kernel_size: int,
        norm_cfg: Optional[dict] = None,
        neuron: Optional[dict] = None,
        spike_between: bool = True,
    ) -> None:
        hidden = 2 * channels
        pw1 = spike_conv_norm(channels, hidden, 1, norm_cfg, neuron)
        dw = spike_conv_norm(hidden, hidden, kernel_size, norm_cfg, neuron, groups=hidden)
        if spike_between:
            pw2 = spike_conv_norm(hidden, channels, 1, norm_cfg, neuron)
        else:
            del dw.norm
            pw2 = conv_norm(hidden, channels, 1, norm_cfg)
        super().__init__(OrderedDict(pw1=pw1, dw=dw, pw2=pw2))


class MLP(nn.Sequential):
    """(SN - 1x1 with bias - BN) twice, eC channels between.

    Args:
        channels (int): C.
        mlp_ratio (float): e.
        norm_cfg (dict, optional): Norm layers; batch norm by default.
        neuron (dict, optional): Neurons; I-LIF by default.
        spikes_out (bool): (1x1 with bias - BN - SN) twice instead.

    Shape:
        (T*N, C, H, W) to (T*N, C, H, W).
    """

    def __init__(
        self,
        channels: int,
        mlp_ratio: float = 4,
        norm_cfg: Optional[dict] = None,
        neuron: Optional[dict] = None,
        spikes_out: bool = False,
    ) -> None:
        check_number('mlp_ratio of MLP', mlp_ratio, least=1 / channels)
        hidden = int(channels * mlp_ratio)
        first = conv_norm if spikes_out else partial(spike_conv_norm, neuron=neuron)
        layers = OrderedDict(
            fc1=first(channels, hidden, 1, norm_cfg, bias=True),
            fc2=spike_conv_norm(hidden, channels, 1, norm_cfg, neuron, bias=True),
        )
        if spikes_out:
            layers['neuron'] = build_neuron(neuron)
        super().__init__(layers)


def set_residual_gain(branch: nn.Module, gain: float) -> None:
    """Start a residual branch small: its last norm at `gain`, or its last weight times `gain` where no norm ends it."""
    last = [m for m in branch.modules() if m._parameters.get('weight') is not None][-1]
    with torch.no_grad():
        if isinstance(last, _BatchNorm):
            last.weight.fill_(gain)
        else:
            last.weight.mul_(gain)


class ResidualBlock(nn.Module):
    """``x += drop_path(branch(x))`` for each branch in turn.

    Args:
        branches (dict[str, nn.Module]): Name to branch, in order.
        drop_path (float): Stochastic depth probability.
        residual_gain (float): Gain at which every branch starts, see `set_residual_gain`.

    Shape:
        (T*N, C, H, W) to (T*N, C, H, W).
    """

    def __init__(self, branches: dict, drop_path: float = 0.0, residual_gain: float = 0.1) -> None:
        super().__init__()
        check_number('drop_path_rate', drop_path, least=0, below=1)
        check_number('residual_gain', residual_gain)
        self.branches = tuple(branches)
        for name, branch in branches.items():
            set_residual_gain(branch, residual_gain)
            self.add_module(name, branch)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        for name in self.branches:
            x = x + self.drop_path(getattr(self, name)(x))
        return x


def conv_block(
    channels: int,
    mixer: dict,
    mlp_ratio: float,
    norm_cfg: dict,
    neuron: dict,
    spike_between: bool = True,
    **kwargs,
) -> ResidualBlock:
    """Block of stages 1a, 1b and 2 of Meta-SDT: ``x += SepConv7(x); x += Mixer(x)``."""
    common = {'norm_cfg': norm_cfg, 'neuron': neuron}
    mixer = build(mixer, channels=channels, mlp_ratio=mlp_ratio, **common)
    sepconv = SepConv(channels, 7, **common, spike_between=spike_between)
    return ResidualBlock({'sepconv': sepconv, 'mixer': mixer}, **kwargs)


def attention_block(
    channels: int,
    num_heads: int,
    mlp_ratio: float,
    norm_cfg: dict,
    neuron: dict,
    attention_scale: Union[str, float] = 'published',
    **kwargs,
) -> ResidualBlock:
    """Block of stages 3 and 4 of Meta-SDT v3: ``x += SepConv3(x); x += SDSA(x); x += MLP(x)``."""
    common = {'norm_cfg': norm_cfg, 'neuron': neuron}
    branches = {
        'sepconv': SepConv(channels, 3, **common),
        'attn': SDSA(channels, num_heads, **common, scale=attention_scale),
        'mlp': MLP(channels, mlp_ratio, **common),
    }
    return ResidualBlock(branches, **kwargs)


def transformer_block(
    attn: nn.Module,
    channels: int,
    mlp_ratio: float,
    norm_cfg: dict,
    neuron: dict,
    spikes_out: bool = False,
    **kwargs,
) -> ResidualBlock:
    """Block of the other Transformers: ``x += attn(x); x += MLP(x)``; `spikes_out` as `MLP`."""
    mlp = MLP(channels, mlp_ratio, norm_cfg, neuron, spikes_out)
    return ResidualBlock({'attn': attn, 'mlp': mlp}, **kwargs)
