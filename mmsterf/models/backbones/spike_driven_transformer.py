"""The first Spike-driven Transformer."""

from collections import OrderedDict

from mmsterf.registry import MODELS

from ..attention import MaskSDSA
from ..blocks import ResidualBlock, embed_layer, transformer_block
from ..mixers import spike_conv_norm
from .spikformer import PlainBackbone


@MODELS.register_module()
class SpikeDrivenTransformer(PlainBackbone):
    """Spike-driven Transformer (v1) backbone: LIF neurons over T steps; residuals add membrane potential.

    Stem: 3 x (conv 3x3 - BN - SN - max pool), conv - BN - max pool, then x += BN(conv(SN(x))). Block: x += SDSA(x);
    x += MLP(x), with SDSA the channel mask of `MaskSDSA`.
    Source: Yao et al., "Spike-driven Transformer", NeurIPS 2023; its L-C are ``arch='L-C'``.

    Args:
        residual_gain (float): Gain of the last norm of every residual branch at the start; see `MetaSDT`.
        **kwargs: As `PlainBackbone`.

    Example:
        >>> model = SpikeDrivenTransformer(embed_dims=64, depth=2).eval()
        >>> [tuple(x.shape) for x in model(torch.rand(1, 3, 64, 96))]
        [(1, 64, 4, 6)]
    """

    def __init__(self, *args, residual_gain: float = 0.1, **kwargs) -> None:
        super().__init__(*args, residual_gain=residual_gain, **kwargs)

    def _stem_layers(self, widths: tuple, **common) -> OrderedDict:
        layers = OrderedDict(
            (f'embed{i}', embed_layer(*widths[i - 1 : i + 1], ('neuron', 'pool') if i < 4 else ('pool',), **common))
            for i in range(1, 5)
        )
        layers['position'] = ResidualBlock(
            {'conv': spike_conv_norm(widths[-1], widths[-1], 3, **common)}, residual_gain=1
        )
        return layers

    def _block(self, channels: int, norm_cfg: dict, neuron: dict, **kwargs) -> ResidualBlock:
        attn = MaskSDSA(channels, norm_cfg, neuron)
        return transformer_block(attn, channels, norm_cfg=norm_cfg, neuron=neuron, **kwargs)
