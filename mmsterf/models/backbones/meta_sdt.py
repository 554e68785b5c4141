"""Meta-SDT, v3 family: the backbone of the paper, with its mixers."""

from collections import OrderedDict
from contextlib import contextmanager, nullcontext
from typing import Optional, Union

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from mmsterf.registry import MODELS

from ..blocks import attention_block, conv_block
from ..mixers import spike_conv_norm

ARCHS = {
    'nano': (24, 48, 96, 128),
    'tiny': (32, 64, 128, 192),
    'small': (48, 96, 192, 240),
    'base': (64, 128, 256, 360),
}
"""Channels (C0, C1, C2, C3) by name; published as sdtv3_t, sdtv3_s ("5M"), sdtv3_m ("10M") and sdtv3_l ("19M")."""

STAGES = ('1a', '1b', '2', '3', '4')
DEPTHS = (1, 1, 2, 6, 2)
NUM_HEADS = 8
MIN_SIZE = 16


@contextmanager
def _frozen_statistics(module: nn.Module):
    """Keep batch statistics as they are: a recomputed forward pass must not count twice."""
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm)]
    saved = [dict(m._buffers) for m in norms]
    for norm in norms:
        norm._buffers.update({k: None if b is None else b.clone() for k, b in norm._buffers.items()})
    try:
        yield
    finally:
        for norm, buffers in zip(norms, saved):
            norm._buffers.update(buffers)


@MODELS.register_module()
class MetaSDT(BaseModule):
    """Meta-SDT backbone (Spike-driven Transformer v3 architecture, one time step, I-LIF neurons).

    Source: "Unveiling the Spatial-temporal Effective Receptive Fields of Spiking Neural Networks" (NeurIPS 2025),
    Section 4; the architecture follows Spike-driven Transformer v3. Maps hold membrane potential, so what follows
    starts with a neuron if it is to be spiking.

    Args:
        arch (str | dict): 'nano', 'tiny', 'small', 'base', or ``dict(embed_dims=(C0, C1, C2, C3))``.
        mixer (dict): Mixer of stages 1a, 1b and 2: ``dict(type='ConvMixer')``, ``dict(type='MLPixer',
            layout='raster' | 'pointwise', dropout=0.)`` or ``dict(type='SRB', layout=...)``.
        mlp_ratio (float): Expansion e of mixers and MLPs.
        neuron (dict): Neuron config, see `mmsterf.snn.build_neuron`.
        in_channels (int): Channels of the image.
        out_indices (Sequence[int]): Which of the five maps (1a, 1b, 2, 3, 4) to return, by index 0 to 4.
        frozen_stages (int): -1 trains all; 0 freezes the stem, k the stem and the first k of the five stages.
        norm_cfg (dict): Norm layers (BN, SyncBN).
        norm_eval (bool): Keep batch statistics fixed in training.
        drop_path_rate (float): Stochastic depth of the last block; earlier ones grow linearly from 0.
        residual_gain (float): Gain of the last norm of every residual branch at the start. The public code starts at
            1, where gradients grow by four orders of magnitude towards the stem; loaded weights overrule it.
        with_cp (bool): Recompute blocks in the backward pass to save memory.
        init_cfg (dict, optional): mmengine initialisation, for example ``dict(type='Pretrained', ...)``.

    Attributes:
        out_strides (tuple[int]): Strides of the returned maps: 2, 4, 8, 16 and 16 of all five.
        out_channels (tuple[int]): Channels of the returned maps.

    Shape:
        (N, in_channels, H, W), sides of at least 16, to a tuple of (N, C, ceil(H / stride), ceil(W / stride)).

    Raises:
        ValueError: If an argument is not valid, or the image too small.

    Example:
        >>> model = MetaSDT('tiny', mixer=dict(type='MLPixer')).eval()
        >>> [tuple(x.shape) for x in model(torch.rand(1, 3, 64, 96))]
        [(1, 32, 16, 24), (1, 64, 8, 12), (1, 128, 4, 6), (1, 192, 4, 6)]
    """

    def __init__(
        self,
        arch: Union[str, dict] = 'base',
        mixer: Optional[dict] = None,
        mlp_ratio: float = 4,
        neuron: Optional[dict] = None,
        in_channels: int = 3,
        out_indices: tuple = (1, 2, 3, 4),
        frozen_stages: int = -1,
        norm_cfg: Optional[dict] = None,
        norm_eval: bool = False,
        drop_path_rate: float = 0.0,
        residual_gain: float = 0.1,
        with_cp: bool = False,
        init_cfg: Optional[dict] = None,
    ) -> None:
        super().__init__(init_cfg)
        dims = self._embed_dims(arch)
        indices = tuple(range(len(STAGES)))
        out_indices = tuple(out_indices)
        if not out_indices or list(out_indices) != sorted(set(out_indices) & set(indices)):
            raise ValueError(f'out_indices must be increasing and among {indices} (1a, 1b, 2, 3, 4), got {out_indices}')
        if frozen_stages not in range(-1, len(STAGES) + 1):
            raise ValueError(f'frozen_stages must be -1 to {len(STAGES)}, got {frozen_stages}')
        norm_cfg = norm_cfg or {'type': 'BN'}
        common = {'norm_cfg': norm_cfg, 'neuron': neuron or {'type': 'ILIF'}}

        channels = (dims[0] // 2, *dims)
        strides = (2, 4, 8, 16, 16)
        drop_path = iter(torch.linspace(0, drop_path_rate, sum(DEPTHS)).tolist())
        self.stem = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(in_channels, channels[0], 7, stride=2, padding=3),
                norm=build_norm_layer(norm_cfg, channels[0])[1],
            )
        )
        for i, (stage, depth) in enumerate(zip(STAGES, DEPTHS)):
            if i > 0:
                stride = strides[i] // strides[i - 1]
                down = spike_conv_norm(channels[i - 1], channels[i], 3, stride=stride, bias=True, **common)
                self.add_module(f'down{stage}', down)
            kwargs = dict(mlp_ratio=mlp_ratio, residual_gain=residual_gain, **common)
            blocks = [
                conv_block(channels[i], mixer or {'type': 'ConvMixer'}, drop_path=next(drop_path), **kwargs)
                if i < 3
                else attention_block(channels[i], NUM_HEADS, drop_path=next(drop_path), **kwargs)
                for _ in range(depth)
            ]
            self.add_module(f'stage{stage}', nn.Sequential(*blocks))

        self.out_indices = out_indices
        self.out_strides = tuple(strides[i] for i in out_indices)
        self.out_channels = tuple(channels[i] for i in out_indices)
        self.frozen_stages = frozen_stages
        self.norm_eval = norm_eval
        self.with_cp = with_cp
        self._freeze()

    @staticmethod
    def _embed_dims(arch: Union[str, dict]) -> tuple:
        if isinstance(arch, str):
            if arch not in ARCHS:
                raise ValueError(f'arch must be one of {", ".join(ARCHS)} or dict(embed_dims=...), got {arch!r}')
            return ARCHS[arch]
        dims = tuple(arch.get('embed_dims', ()))
        if set(arch) != {'embed_dims'} or len(dims) != 4 or dims[0] % 2 or any(d % NUM_HEADS for d in dims[2:]):
            raise ValueError(
                'arch as a dict is dict(embed_dims=(C0, C1, C2, C3)) with C0 even and C2, C3 multiples of '
                f'{NUM_HEADS}, got {arch}'
            )
        return dims

    def _parts(self, index: int) -> list:
        stage = STAGES[index]
        down = self.stem if index == 0 else getattr(self, f'down{stage}')
        return [down, getattr(self, f'stage{stage}')]

    def _freeze(self) -> None:
        frozen = [self.stem] if self.frozen_stages >= 0 else []
        for index in range(self.frozen_stages):
            frozen += self._parts(index)
        for module in frozen:
            module.eval()
            module.requires_grad_(False)

    def train(self, mode: bool = True):
        """Set the training mode; frozen stages, and all norms with `norm_eval`, stay in evaluation mode."""
        super().train(mode)
        if mode:
            self._freeze()
            if self.norm_eval:
                for module in self.modules():
                    if isinstance(module, _BatchNorm):
                        module.eval()
        return self

    def _run_block(self, block: nn.Module, x: Tensor) -> Tensor:
        if not (self.with_cp and x.requires_grad):
            return block(x)
        return checkpoint(block, x, use_reentrant=False, context_fn=lambda: (nullcontext(), _frozen_statistics(block)))

    def forward(self, x: Tensor) -> tuple:
        if min(x.shape[-2:]) < MIN_SIZE:
            raise ValueError(f'MetaSDT needs images of at least {MIN_SIZE}x{MIN_SIZE}, got {tuple(x.shape[-2:])}')
        outs = []
        for index in range(self.out_indices[-1] + 1):
            down, blocks = self._parts(index)
            x = down(x)
            for block in blocks:
                x = self._run_block(block, x)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)
