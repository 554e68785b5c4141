"""The first Spike-driven Transformer."""

from collections import OrderedDict

from mmsterf.registry import MODELS

from ..blocks import ResidualBlock, transformer_block
from ..layers import embed_layer, spike_conv_norm
from ..lif_attention import MaskSDSA, PooledMaskSDSA
from .spikformer import NUM_HEADS, PlainBackbone


@MODELS.register_module()
class SpikeDrivenTransformer(PlainBackbone):
    """Spike-driven Transformer (v1) backbone: LIF neurons over T steps; residuals add membrane potential.

    Stem: 3 x (conv 3x3 - BN - SN - max pool), conv - BN - max pool, then x += BN(conv(SN(x))). Block: x += SDSA(x);
    x += MLP(x), with SDSA the channel mask of `MaskSDSA`.
    Source: Yao et al., "Spike-driven Transformer", NeurIPS 2023; its L-C are ``arch='L-C'``.

    Args:
        residual_gain (float): Gain of the last norm of every residual branch at the start; see `MetaSDT`.
        stem_pools (Sequence[int]): Which of the four stem stages, 1 to 4, end in a max pool: the stride is 2 for each.
            All by default; published as `pooling_stat`, '0011' is (3, 4).
        event_mode (bool): Max pools of spikes in the attention, as published for event cameras; see `PooledMaskSDSA`.
        num_heads (int): Attention heads; of use with `event_mode`.
        **kwargs: As `PlainBackbone`.

    Example:
        >>> model = SpikeDrivenTransformer(embed_dims=64, depth=2).eval()
        >>> [tuple(x.shape) for x in model(torch.rand(1, 3, 64, 96))]
        [(1, 64, 4, 6)]
        >>> model = SpikeDrivenTransformer(64, 2, in_channels=2, time_steps=3, stem_pools=(3, 4), event_mode=True)
        >>> [tuple(x.shape) for x in model(torch.rand(3, 1, 2, 64, 96))]
        [(1, 64, 16, 24)]
    """

    def __init__(
        self,
        *args,
        residual_gain: float = 0.1,
        stem_pools: tuple = (1, 2, 3, 4),
        event_mode: bool = False,
        num_heads: int = NUM_HEADS,
        **kwargs,
    ) -> None:
        if list(stem_pools) != sorted(set(stem_pools) & {1, 2, 3, 4}):
            raise ValueError(
                f'stem_pools of SpikeDrivenTransformer must be increasing and among 1, 2, 3, 4, got {stem_pools}'
            )
        self.stem_pools, self.event_mode, self.num_heads = tuple(stem_pools), event_mode, num_heads
        self.stride = 2 ** len(stem_pools)
        super().__init__(*args, residual_gain=residual_gain, **kwargs)

    def _stem_layers(self, widths: tuple, **common) -> OrderedDict:
        layers = OrderedDict()
        for i in range(1, 5):
            then = ('neuron',) * (i < 4) + ('pool',) * (i in self.stem_pools)
            layers[f'embed{i}'] = embed_layer(*widths[i - 1 : i + 1], then, **common)
        layers['position'] = ResidualBlock(
            {'conv': spike_conv_norm(widths[-1], widths[-1], 3, **common)}, residual_gain=1
        )
        return layers

    def _block(self, channels: int, norm_cfg: dict, neuron: dict, **kwargs) -> ResidualBlock:
        if self.event_mode:
            attn = PooledMaskSDSA(channels, norm_cfg, neuron, self.num_heads)
        else:
            attn = MaskSDSA(channels, norm_cfg, neuron)
        return transformer_block(attn, channels, norm_cfg=norm_cfg, neuron=neuron, **kwargs)
