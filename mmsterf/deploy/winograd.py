"""3x3 convolutions by Winograd's algorithm, from NNPACK, which PyTorch has: three times fewer products on CPU.

Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (CVPR 2016). oneDNN, OpenVINO and ONNX Runtime have no
such kernels for x86 processors. Sums come in another order and with other factors: results differ by 3e-6.
"""

from functools import partial
from typing import Callable, Optional

import torch
from torch import Tensor, nn

_CHANNELS = 64
"""Least number, of input and of output: below, what is saved in products goes into transforms."""
_PIXELS = 900
"""Of a map. Smaller ones have too few tiles for all cores, and are convolved directly..."""
_BATCH = (16, 144)
"""...but for many at a time (regions), with so many pixels each."""


def use_winograd(model: nn.Module) -> nn.Module:
    """Let NNPACK run the 3x3 convolutions of a model that it runs faster; the model is changed and returned.

    Those of stride 1 that keep the size, not grouped, of 64 channels and more; maps of other than float32, on other
    devices than CPU, or too small, go the usual way.
    """
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and _fits(module):
            module._conv_forward = partial(_convolve, module._conv_forward)
    return model


def _fits(conv: nn.Conv2d) -> bool:
    return (
        conv.kernel_size == (3, 3)
        and conv.stride == conv.dilation == (1, 1)
        and conv.padding in ((1, 1), 'same')
        and conv.padding_mode == 'zeros'
        and conv.groups == 1
        and min(conv.in_channels, conv.out_channels) >= _CHANNELS
    )


def _convolve(plain: Callable, x: Tensor, weight: Tensor, bias: Optional[Tensor]) -> Tensor:
    """In the place of `nn.Conv2d._conv_forward`."""
    usual = x.dim() != 4 or x.device.type != 'cpu' or not x.dtype == weight.dtype == torch.float32
    # Asking is what starts NNPACK, once in each process.
    if usual or torch.compiler.is_compiling() or not torch.backends.nnpack.is_available():
        return plain(x, weight, bias)
    images, pixels = len(x), x.shape[-2] * x.shape[-1]
    if pixels >= _PIXELS:
        # One at a time: of several, NNPACK makes long rows of tiles that leave the cache.
        maps = [torch._nnpack_spatial_convolution(image, weight, bias, (1, 1)) for image in x.split(1)]
        return maps[0] if images == 1 else torch.cat(maps)
    if images >= _BATCH[0] and pixels >= _BATCH[1]:
        return torch._nnpack_spatial_convolution(x, weight, bias, (1, 1))
    return plain(x, weight, bias)
