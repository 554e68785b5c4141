"""Meta-SDT, v3 family: the backbone of the paper, with its mixers."""

from typing import Optional, Union

from torch import nn

from mmsterf.errors import InvalidInput
from mmsterf.ranges import check_count
from mmsterf.registry import MODELS

from ..blocks import ResidualBlock, attention_block, conv_block
from ..layers import conv_norm, spike_conv_norm
from ..sdsa import check_scale
from .base import SpikingBackbone, drop_path_rates

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


@MODELS.register_module()
class MetaSDT(SpikingBackbone):
    """Meta-SDT backbone (Spike-driven Transformer v3 architecture; I-LIF neurons and one time step by default).

    Source: "Unveiling the Spatial-temporal Effective Receptive Fields of Spiking Neural Networks" (NeurIPS 2025),
    Section 4; the architecture follows Spike-driven Transformer v3. Maps hold membrane potential, so what follows
    starts with a neuron if it is to be spiking.

    Args:
        arch (str | dict): 'nano', 'tiny', 'small', 'base', or ``dict(embed_dims=(C0, C1, C2, C3))``, optionally with
            `depths`, the blocks of stages 1a, 1b, 2, 3 and 4; (1, 1, 2, 6, 2) as published by default.
        mixer (dict): Mixer of stages 1a, 1b and 2: ``dict(type='ConvMixer')``, ``dict(type='MLPixer',
            layout='raster' | 'pointwise', dropout=0.)`` or ``dict(type='SRB', layout=...)``.
        mlp_ratio (float): Expansion e of mixers and MLPs.
        neuron (dict): Neuron config, see `mmsterf.snn.build_neuron`; gets `time_steps`.
        in_channels (int): Channels of the image.
        out_indices (Sequence[int]): Which of the five maps (1a, 1b, 2, 3, 4) to return, by index 0 to 4.
        frozen_stages (int): -1 trains all; 0 freezes the stem, k the stem and the first k of the five stages.
        norm_cfg (dict): Norm layers (BN, SyncBN).
        norm_eval (bool): Keep batch statistics fixed in training.
        drop_path_rate (float): Stochastic depth of the last block; earlier ones grow linearly from 0.
        residual_gain (float): Gain of the last norm of every residual branch at the start. The public code starts at
            1, where gradients grow by four orders of magnitude towards the stem; loaded weights overrule it.
        attention_scale (str | float): Factor of the attention's product, 'published', 'unscaled', 'tokens' or a number:
            see `SDSA`. The published factor lets the product grow with the image until the neuron behind it saturates;
            'tokens' does not, and is for models that are trained with it.
        with_cp (bool): Recompute blocks in the backward pass to save memory.
        time_steps (int): Time steps T.
        output (str): 'rate' averages the returned maps over time, for necks without time; 'folded' keeps (T*N, C, H,
            W), time-major, for spiking necks and heads.
        init_cfg (dict, optional): mmengine initialisation. ``dict(type='Pretrained', checkpoint=...)`` takes converted
            and published files, and fails if a tensor is missing, unknown or misshapen.

    Attributes:
        out_strides (tuple[int]): Strides of the returned maps: 2, 4, 8, 16 and 16 of all five.
        out_channels (tuple[int]): Channels of the returned maps.

    Shape:
        Images (N, in_channels, H, W), shown T times, or sequences (T, N, in_channels, H, W), sides of at least 16, to a
        tuple of (N, C, ceil(H / stride), ceil(W / stride)), or (T*N, ...) with ``output='folded'``.

    Raises:
        ValueError: If an argument is not valid, the image too small, or the sequence not of T steps.

    Example:
        >>> model = MetaSDT('tiny', mixer=dict(type='MLPixer')).eval()
        >>> [tuple(x.shape) for x in model(torch.rand(1, 3, 64, 96))]
        [(1, 32, 16, 24), (1, 64, 8, 12), (1, 128, 4, 6), (1, 192, 4, 6)]
    """

    archs = ARCHS
    default_neuron = 'ILIF'

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
        attention_scale: Union[str, float] = 'published',
        with_cp: bool = False,
        time_steps: int = 1,
        output: str = 'rate',
        init_cfg: Optional[dict] = None,
    ) -> None:
        neuron = neuron or {'type': self.default_neuron}
        super().__init__(neuron, time_steps, output, frozen_stages, norm_eval, with_cp, init_cfg)
        check_count(f'in_channels of {type(self).__name__}', in_channels)
        check_scale(attention_scale)
        self.attention_scale = attention_scale
        dims, depths = self._dims_and_depths(arch)
        norm_cfg = norm_cfg or {'type': 'BN'}
        common = {'norm_cfg': norm_cfg, 'neuron': self.neuron}

        channels = (dims[0] // 2, *dims)
        strides = (2, 4, 8, 16, 16)
        built = self._choose(out_indices, strides, channels)
        self.unbuilt = tuple(f'{kind}{stage}' for stage in STAGES[built:] for kind in ('down', 'stage'))
        drop_path = drop_path_rates(drop_path_rate, sum(depths))
        self.stem = conv_norm(in_channels, channels[0], 7, norm_cfg, stride=2, bias=True)
        for i, (stage, depth) in enumerate(zip(STAGES[:built], depths)):
            if i > 0:
                stride = strides[i] // strides[i - 1]
                down = spike_conv_norm(channels[i - 1], channels[i], 3, stride=stride, bias=True, **common)
                self.add_module(f'down{stage}', down)
            kwargs = dict(channels=channels[i], mlp_ratio=mlp_ratio, residual_gain=residual_gain, **common)
            blocks = [
                self._conv_block(mixer=mixer or {'type': 'ConvMixer'}, drop_path=next(drop_path), **kwargs)
                if i < 3
                else self._attention_block(drop_path=next(drop_path), **kwargs)
                for _ in range(depth)
            ]
            self.add_module(f'stage{stage}', nn.Sequential(*blocks))
        self._freeze()

    def _conv_block(self, **kwargs) -> ResidualBlock:
        return conv_block(**kwargs)

    def _attention_block(self, **kwargs) -> ResidualBlock:
        return attention_block(num_heads=NUM_HEADS, attention_scale=self.attention_scale, **kwargs)

    def _dims_and_depths(self, arch: Union[str, dict]) -> tuple:
        if isinstance(arch, str):
            if arch not in self.archs:
                raise InvalidInput(f'arch must be one of {", ".join(self.archs)} or dict(embed_dims=...), got {arch!r}')
            return self.archs[arch], DEPTHS
        dims, depths = tuple(arch.get('embed_dims', ())), tuple(arch.get('depths', DEPTHS))
        if (
            set(arch) - {'depths'} != {'embed_dims'}
            or len(dims) != 4
            or not all(isinstance(d, int) and d > 0 for d in dims)
            or dims[0] % 2
            or any(d % NUM_HEADS for d in dims[2:])
        ):
            raise InvalidInput(
                'arch as a dict is dict(embed_dims=(C0, C1, C2, C3)), all positive, C0 even, C2 and C3 '
                f'multiples of {NUM_HEADS}, got {arch}'
            )
        if len(depths) != len(STAGES) or not all(isinstance(depth, int) and depth > 0 for depth in depths):
            raise InvalidInput(f'depths of arch must be {len(STAGES)} positive integers, got {depths}')
        return dims, depths

    def _stages(self) -> list:
        built = STAGES[: self.out_indices[-1] + 1]
        downs = [self.stem, *(getattr(self, f'down{stage}') for stage in built[1:])]
        return [[down, *getattr(self, f'stage{stage}')] for down, stage in zip(downs, built)]
