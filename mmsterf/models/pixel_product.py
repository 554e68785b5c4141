"""1x1 convolutions as products of matrices, for runtimes outside of PyTorch."""

from typing import Optional

import torch
from torch import Tensor, nn

from mmsterf.snn.layers import like_weight


def is_pixelwise(layer: Optional[nn.Module]) -> bool:
    """Whether a layer is a 1x1 convolution of all channels, at stride 1."""
    return (
        isinstance(layer, nn.Conv2d)
        and layer.kernel_size == layer.stride == (1, 1)
        and layer.groups == 1
        and layer.padding in ((0, 0), 'valid', 'same')
    )


class PixelProduct(nn.Module):
    """What a 1x1 convolution computes, as a product of matrices: (C', C) times (C, pixels) of each image.

    Convolutions of OpenVINO read and write maps pixel by pixel, products of matrices channel by channel, as PyTorch has
    them. Where the maps are read so, before and behind, the runtime is spared the copies.

    Args:
        conv (nn.Conv2d): A 1x1 convolution (`is_pixelwise`), with or without a neuron in front; not changed.

    Shape:
        (N, C, H, W) to (N, C', H, W).
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.neuron = getattr(conv, 'neuron', None) or nn.Identity()
        self.weight = nn.Parameter(conv.weight.detach().flatten(1), requires_grad=False)
        self.bias = None if conv.bias is None else nn.Parameter(conv.bias.detach()[:, None], requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        x = like_weight(self.neuron(x), self.weight).flatten(2)
        # Not `matmul`, which is exported as a product of transposed maps; not `len`, which an export takes for good.
        y = torch.bmm(self.weight.expand(x.shape[0], -1, -1), x)
        return (y if self.bias is None else y + self.bias).unflatten(-1, size)
