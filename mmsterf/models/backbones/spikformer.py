"""Spikformer, and the frame it shares with the first Spike-driven Transformer."""

from collections import OrderedDict
from typing import Optional

from torch import nn

from mmsterf.ranges import check_count
from mmsterf.registry import MODELS

from ..blocks import ResidualBlock, transformer_block
from ..layers import embed_layer
from ..lif_attention import SSA
from .base import SpikingBackbone, drop_path_rates, named_size

ARCHS = {'6-512': (512, 6), '8-384': (384, 8), '8-512': (512, 8), '8-768': (768, 8), '10-512': (512, 10)}
"""C and blocks of the published sizes L-C."""
NUM_HEADS = 8
"""Attention heads of all of them."""


class PlainBackbone(SpikingBackbone):
    """Base of the plain spiking Transformers: a convolutional stem to stride 16, then blocks of one width.

    Subclasses give `_stem_layers` and `_block`.

    Args:
        embed_dims (int, optional): C, a multiple of 8; 512 by default.
        depth (int, optional): Number of blocks L; 8 by default.
        mlp_ratio (float): Expansion of the MLPs.
        neuron (dict, optional): Neuron config, see `mmsterf.snn.build_neuron`; LIF by default; gets `time_steps`.
        in_channels (int): Channels of the image.
        out_indices (Sequence[int], optional): Which of the L + 1 maps to return: 0 is the stem's, i that of block i.
            The last by default.
        frozen_stages (int): -1 trains all; 0 freezes the stem, k the maps before index k.
        norm_cfg (dict, optional): Norm layers; batch norm by default.
        norm_eval (bool): Keep batch statistics fixed in training.
        drop_path_rate (float): Stochastic depth of the last block; earlier ones grow linearly from 0.
        residual_gain (float): Gain of the last norm of every residual branch at the start. A branch that ends in a
            neuron falls silent below 1.
        with_cp (bool): Recompute blocks in the backward pass to save memory.
        time_steps (int): Time steps T.
        output (str): 'rate' averages the returned maps over time, for necks without time; 'folded' keeps (T*N, C, H,
            W), time-major, for spiking necks and heads.
        init_cfg (dict, optional): mmengine initialisation, for example ``dict(type='Pretrained', ...)``.
        arch (str, optional): A published size L-C instead of `embed_dims` and `depth`: one of `archs`.

    Shape:
        Images (N, in_channels, H, W), shown T times, or sequences (T, N, in_channels, H, W), sides of at least 16, to a
        tuple of (N, C, ceil(H / 16), ceil(W / 16)), or (T*N, ...) with ``output='folded'``.

    Raises:
        ValueError: If an argument is not valid, the image too small, or the sequence not of T steps.
    """

    archs = ARCHS
    stride = 16
    """Of all maps."""

    def __init__(
        self,
        embed_dims: Optional[int] = None,
        depth: Optional[int] = None,
        mlp_ratio: float = 4,
        neuron: Optional[dict] = None,
        in_channels: int = 3,
        out_indices: Optional[tuple] = None,
        frozen_stages: int = -1,
        norm_cfg: Optional[dict] = None,
        norm_eval: bool = False,
        drop_path_rate: float = 0.0,
        residual_gain: float = 1.0,
        with_cp: bool = False,
        time_steps: int = 4,
        output: str = 'rate',
        init_cfg: Optional[dict] = None,
        arch: Optional[str] = None,
    ) -> None:
        if arch is None:
            embed_dims, depth = 512 if embed_dims is None else embed_dims, 8 if depth is None else depth
        embed_dims, depth = named_size(type(self).__name__, self.archs, arch, embed_dims=embed_dims, depth=depth)
        super().__init__(neuron or {'type': 'LIF'}, time_steps, output, frozen_stages, norm_eval, with_cp, init_cfg)
        check_count(f'embed_dims of {type(self).__name__}', embed_dims, multiple_of=8)
        check_count(f'depth of {type(self).__name__}', depth)
        check_count(f'in_channels of {type(self).__name__}', in_channels)
        common = {'norm_cfg': norm_cfg or {'type': 'BN'}, 'neuron': self.neuron}
        widths = (in_channels, embed_dims // 8, embed_dims // 4, embed_dims // 2, embed_dims)
        self.stem = nn.Sequential(self._stem_layers(widths, **common))
        kwargs = dict(mlp_ratio=mlp_ratio, residual_gain=residual_gain, **common)
        indices = (depth,) if out_indices is None else out_indices
        built = (
            self._choose(indices, (self.stride,) * (depth + 1), (embed_dims,) * (depth + 1)) - 1
        )  # the first is the stem
        self.unbuilt = tuple(f'blocks.{i}' for i in range(built, depth))
        rates = list(drop_path_rates(drop_path_rate, depth))[:built]
        self.blocks = nn.Sequential(*(self._block(embed_dims, drop_path=rate, **kwargs) for rate in rates))
        self._freeze()

    def _stages(self) -> list:
        return [[self.stem], *([block] for block in self.blocks)]

    def _stem_layers(self, widths: tuple, **common) -> OrderedDict:
        raise NotImplementedError

    def _block(self, channels: int, **kwargs) -> ResidualBlock:
        raise NotImplementedError


@MODELS.register_module()
class Spikformer(PlainBackbone):
    """Spikformer backbone: LIF neurons over T steps; residuals add spikes.

    Stem: 4 x (conv 3x3 - BN - SN - max pool), then x += SN(BN(conv(x))). Block: x += SSA(x); x += MLP(x).
    Source: Zhou et al., "Spikformer: When Spiking Neural Network Meets Transformer", ICLR 2023; its Spikformer-L-C are
    ``arch='L-C'``.

    Args:
        num_heads (int, optional): Attention heads, 8 in published sizes; needed for other sizes, because no file of
            weights tells.
        **kwargs: As `PlainBackbone`.

    Example:
        >>> model = Spikformer(embed_dims=64, depth=2, num_heads=8, out_indices=(0, 2)).eval()
        >>> [tuple(x.shape) for x in model(torch.rand(1, 3, 64, 96))]
        [(1, 64, 4, 6), (1, 64, 4, 6)]
    """

    def __init__(
        self,
        embed_dims: Optional[int] = None,
        depth: Optional[int] = None,
        *args,
        num_heads: Optional[int] = None,
        arch: Optional[str] = None,
        **kwargs,
    ) -> None:
        if arch is None:
            embed_dims, depth = 512 if embed_dims is None else embed_dims, 8 if depth is None else depth
        archs = {name: (*size, NUM_HEADS) for name, size in self.archs.items()}
        sizes = dict(embed_dims=embed_dims, depth=depth, num_heads=num_heads)
        embed_dims, depth, self.num_heads = named_size('Spikformer', archs, arch, **sizes)
        super().__init__(embed_dims, depth, *args, **kwargs)

    def _stem_layers(self, widths: tuple, **common) -> OrderedDict:
        layers = OrderedDict(
            (f'embed{i}', embed_layer(*widths[i - 1 : i + 1], ('neuron', 'pool'), **common)) for i in range(1, 5)
        )
        position = embed_layer(widths[-1], widths[-1], ('neuron',), **common)
        layers['position'] = ResidualBlock({'conv': position}, residual_gain=1)
        return layers

    def _block(self, channels: int, norm_cfg: dict, neuron: dict, **kwargs) -> ResidualBlock:
        attn = SSA(channels, self.num_heads, norm_cfg, neuron)
        return transformer_block(attn, channels, norm_cfg=norm_cfg, neuron=neuron, spikes_out=True, **kwargs)
