"""Residual blocks of Meta-SDT: branches read spikes and add membrane potential."""

from collections import OrderedDict
from typing import Optional

import torch
from mmcv.cnn.bricks.drop import DropPath
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mmsterf.registry import build

from .attention import SDSA
from .mixers import spike_conv_norm


class SepConv(nn.Sequential):
    """Separable convolution: (SN - 1x1 - BN), (SN - k x k depthwise - BN), (SN - 1x1 - BN), 2C channels inside.

    Shape:
        (T*N, C, H, W) to (T*N, C, H, W).
    """

    def __init__(
        self, channels: int, kernel_size: int, norm_cfg: Optional[dict] = None, neuron: Optional[dict] = None
    ) -> None:
        hidden = 2 * channels
        super().__init__(
            OrderedDict(
                pw1=spike_conv_norm(channels, hidden, 1, norm_cfg, neuron),
                dw=spike_conv_norm(hidden, hidden, kernel_size, norm_cfg, neuron, groups=hidden),
                pw2=spike_conv_norm(hidden, channels, 1, norm_cfg, neuron),
            )
        )


class MLP(nn.Sequential):
    """(SN - 1x1 with bias - BN) twice, eC channels between.

    Shape:
        (T*N, C, H, W) to (T*N, C, H, W).
    """

    def __init__(
        self, channels: int, mlp_ratio: float = 4, norm_cfg: Optional[dict] = None, neuron: Optional[dict] = None
    ) -> None:
        hidden = int(channels * mlp_ratio)
        super().__init__(
            OrderedDict(
                fc1=spike_conv_norm(channels, hidden, 1, norm_cfg, neuron, bias=True),
                fc2=spike_conv_norm(hidden, channels, 1, norm_cfg, neuron, bias=True),
            )
        )


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
        self.branches = tuple(branches)
        for name, branch in branches.items():
            set_residual_gain(branch, residual_gain)
            self.add_module(name, branch)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor) -> Tensor:
        for name in self.branches:
            x = x + self.drop_path(getattr(self, name)(x))
        return x


def conv_block(channels: int, mixer: dict, mlp_ratio: float, norm_cfg: dict, neuron: dict, **kwargs) -> ResidualBlock:
    """Block of stages 1a, 1b and 2: ``x += SepConv7(x); x += Mixer(x)``."""
    common = {'norm_cfg': norm_cfg, 'neuron': neuron}
    mixer = build(mixer, channels=channels, mlp_ratio=mlp_ratio, **common)
    return ResidualBlock({'sepconv': SepConv(channels, 7, **common), 'mixer': mixer}, **kwargs)


def attention_block(
    channels: int, num_heads: int, mlp_ratio: float, norm_cfg: dict, neuron: dict, **kwargs
) -> ResidualBlock:
    """Block of stages 3 and 4: ``x += SepConv3(x); x += SDSA(x); x += MLP(x)``."""
    common = {'norm_cfg': norm_cfg, 'neuron': neuron}
    branches = {
        'sepconv': SepConv(channels, 3, **common),
        'attn': SDSA(channels, num_heads, **common),
        'mlp': MLP(channels, mlp_ratio, **common),
    }
    return ResidualBlock(branches, **kwargs)
