"""QKFormer."""

from typing import Optional

from torch import Tensor, nn

from mmsterf.ranges import check_count
from mmsterf.registry import MODELS

from ..blocks import transformer_block
from ..layers import embed_layer
from ..lif_attention import SSA, TokenAttention
from .base import SpikingBackbone, drop_path_rates, named_size

STRIDES = (4, 8, 16)
ARCHS = {
    '10-384': (384, (1, 2, 7), 6),
    '10-512': (512, (1, 2, 7), 8),
    '10-768': (768, (1, 2, 7), 12),
}
"""C, blocks and attention heads of the published HST-10-C. Heads leave no trace in a file of weights."""


class SpikingEmbed(nn.Module):
    """Embedding of QKFormer: a convolutional branch and a 1x1 branch, both of stride 2 and ending in SN, added.

    (conv 3x3 - BN - max pool - SN - conv 3x3 - BN - SN)(x) + (conv 1x1 s2 - BN - SN)(x).

    Args:
        in_channels (int): Channels in.
        out_channels (int): Channels out.
        norm_cfg (dict): Norm layers.
        neuron (dict): Neurons.

    Shape:
        (T*N, C, H, W) to (T*N, C', ceil(H / 2), ceil(W / 2)).
    """

    def __init__(self, in_channels: int, out_channels: int, norm_cfg: dict, neuron: dict) -> None:
        super().__init__()
        common = {'norm_cfg': norm_cfg, 'neuron': neuron}
        self.conv1 = embed_layer(in_channels, out_channels, ('pool', 'neuron'), **common)
        self.conv2 = embed_layer(out_channels, out_channels, ('neuron',), **common)
        self.shortcut = embed_layer(in_channels, out_channels, ('neuron',), kernel_size=1, stride=2, **common)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x)) + self.shortcut(x)


@MODELS.register_module()
class QKFormer(SpikingBackbone):
    """QKFormer backbone: three stages at strides 4, 8 and 16, LIF neurons over T steps; residuals add spikes.

    Stem: conv 3x3 - BN - max pool - SN. Stage: `SpikingEmbed`, then blocks x += attn(x); x += MLP(x), with Q-K token
    attention in the first two stages and spiking self-attention in the third.
    Source: Zhou et al., "QKFormer: Hierarchical Spiking Transformer using Q-K Attention", NeurIPS 2024.

    Args:
        embed_dims (int, optional): C of the last stage, a multiple of 8; the others have C/4 and C/2. 384 by default.
        depths (Sequence[int], optional): Blocks of each stage; (1, 2, 7) by default.
        num_heads (int, optional): Attention heads; needed for sizes that are not published.
        arch (str, optional): '10-384', '10-512' or '10-768' (HST-10-C as published, with 6, 8 or 12 heads) instead.
        mlp_ratio (float): Expansion of the MLPs.
        neuron (dict, optional): Neuron config, see `mmsterf.snn.build_neuron`; LIF by default; gets `time_steps`.
        in_channels (int): Channels of the image.
        out_indices (Sequence[int]): Which of the three maps to return, by index 0 to 2.
        frozen_stages (int): -1 trains all; 0 freezes the stem, k the stem and the first k stages.
        norm_cfg (dict, optional): Norm layers; batch norm by default.
        norm_eval (bool): Keep batch statistics fixed in training.
        drop_path_rate (float): Stochastic depth of the last block; earlier ones grow linearly from 0.
        residual_gain (float): Gain of the last norm of every residual branch at the start; branches fall silent
            below 1.
        with_cp (bool): Recompute blocks in the backward pass to save memory.
        time_steps (int): Time steps T.
        output (str): 'rate' averages the returned maps over time, for necks without time; 'folded' keeps (T*N, C, H,
            W), time-major, for spiking necks and heads.
        init_cfg (dict, optional): mmengine initialisation, for example ``dict(type='Pretrained', ...)``.

    Shape:
        Images (N, in_channels, H, W), shown T times, or sequences (T, N, in_channels, H, W), sides of at least 16, to a
        tuple of (N, C', ceil(H / stride), ceil(W / stride)), or (T*N, ...) with ``output='folded'``.

    Raises:
        ValueError: If an argument is not valid, the image too small, or the sequence not of T steps.

    Example:
        >>> model = QKFormer(embed_dims=64, depths=(1, 1, 1), num_heads=8).eval()
        >>> [tuple(x.shape) for x in model(torch.rand(1, 3, 64, 96))]
        [(1, 16, 16, 24), (1, 32, 8, 12), (1, 64, 4, 6)]
    """

    def __init__(
        self,
        embed_dims: Optional[int] = None,
        depths: Optional[tuple] = None,
        num_heads: Optional[int] = None,
        mlp_ratio: float = 4,
        neuron: Optional[dict] = None,
        in_channels: int = 3,
        out_indices: tuple = (0, 1, 2),
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
        depths = depths if depths is None else tuple(depths)
        if arch is None:
            embed_dims, depths = 384 if embed_dims is None else embed_dims, depths or (1, 2, 7)
        sizes = dict(embed_dims=embed_dims, depths=depths, num_heads=num_heads)
        embed_dims, depths, num_heads = named_size('QKFormer', ARCHS, arch, **sizes)
        super().__init__(neuron or {'type': 'LIF'}, time_steps, output, frozen_stages, norm_eval, with_cp, init_cfg)
        check_count('embed_dims of QKFormer', embed_dims, multiple_of=8)
        check_count('in_channels of QKFormer', in_channels)
        if len(depths) != len(STRIDES) or not all(isinstance(depth, int) and depth > 0 for depth in depths):
            raise ValueError(f'depths of QKFormer must be 3 positive integers, got {depths}')
        common = {'norm_cfg': norm_cfg or {'type': 'BN'}, 'neuron': self.neuron}
        channels = (embed_dims // 8, embed_dims // 4, embed_dims // 2, embed_dims)
        built = self._choose(out_indices, STRIDES, channels[1:])
        self.unbuilt = tuple(f'{kind}{i}' for i in range(built + 1, 4) for kind in ('embed', 'stage'))
        rates = drop_path_rates(drop_path_rate, sum(depths))
        self.stem = embed_layer(in_channels, channels[0], ('pool', 'neuron'), **common)
        for i, depth in enumerate(depths[:built], 1):
            self.add_module(f'embed{i}', SpikingEmbed(*channels[i - 1 : i + 1], **common))
            attention = TokenAttention if i < 3 else SSA
            blocks = [
                transformer_block(
                    attention(channels[i], num_heads, **common),
                    channels[i],
                    mlp_ratio,
                    spikes_out=True,
                    drop_path=next(rates),
                    residual_gain=residual_gain,
                    **common,
                )
                for _ in range(depth)
            ]
            self.add_module(f'stage{i}', nn.Sequential(*blocks))
        self._freeze()

    def _stages(self) -> list:
        stages = [[getattr(self, f'embed{i}'), *getattr(self, f'stage{i}')] for i in range(1, self.out_indices[-1] + 2)]
        return [[self.stem, *stages[0]], *stages[1:]]
