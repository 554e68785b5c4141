"""Meta-SDT v2: the LIF ancestor of Meta-SDT v3."""

from typing import Union

from mmsterf.errors import InvalidInput
from mmsterf.registry import MODELS

from ..blocks import ResidualBlock, conv_block, transformer_block
from ..sdsa import RepSDSA
from .meta_sdt import NUM_HEADS, MetaSDT

ARCHS = {
    '15M': (64, 128, 256, 360),
    '31M': (96, 192, 384, 480),
    '55M': (128, 256, 512, 640),
}
"""Channels (C0, C1, C2, C3) by the parameters of the classifier."""


@MODELS.register_module()
class MetaSDTv2(MetaSDT):
    """Meta-SDT v2 backbone (Spike-driven Transformer v2): LIF neurons over T steps.

    The layout of `MetaSDT`; SepConv has no neuron in front of its second 1x1 convolution, and attention blocks have no
    SepConv and re-parameterised convolutions, which `mmsterf.snn.fold_norms` makes plain 3x3 ones.
    Source: Yao et al., "Spike-driven Transformer V2: Meta Spiking Neural Network Architecture Inspiring the Design of
    Next-generation Neuromorphic Chips", ICLR 2024.

    Args:
        arch (str | dict): '15M', '31M', '55M', or ``dict(embed_dims=(C0, C1, C2, C3))``, optionally with `depths`.
        time_steps (int): Time steps T.
        **kwargs: As `MetaSDT`, without `attention_scale`; `neuron` is ``dict(type='LIF')`` by default.

    Shape:
        As `MetaSDT`.

    Example:
        >>> model = MetaSDTv2('15M', time_steps=2).eval()
        >>> [tuple(x.shape) for x in model(torch.rand(1, 3, 64, 96))]
        [(1, 64, 16, 24), (1, 128, 8, 12), (1, 256, 4, 6), (1, 360, 4, 6)]
    """

    archs = ARCHS
    default_neuron = 'LIF'

    def __init__(self, arch: Union[str, dict] = '15M', time_steps: int = 4, **kwargs) -> None:
        if kwargs.get('attention_scale', 'published') != 'published':
            raise InvalidInput(f'attention_scale of MetaSDTv2 is fixed, got {kwargs["attention_scale"]!r}')
        super().__init__(arch, time_steps=time_steps, **kwargs)

    def _conv_block(self, **kwargs) -> ResidualBlock:
        return conv_block(spike_between=False, **kwargs)

    def _attention_block(self, channels: int, norm_cfg: dict, neuron: dict, **kwargs) -> ResidualBlock:
        attn = RepSDSA(channels, NUM_HEADS, norm_cfg, neuron)
        return transformer_block(attn, channels, norm_cfg=norm_cfg, neuron=neuron, **kwargs)
