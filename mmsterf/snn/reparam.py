"""Folding for inference: re-parameterised convolutions, batch norms and constants of neurons go into the weights."""

import copy
from collections import Counter
from collections.abc import Iterator
from typing import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .ilif import ILIF
from .layers import SPIKING_LAYERS, SpikeConv2d, like_weight
from .neurons import build_neuron


class SpikeRepConv(nn.Module):
    """Neuron, then a re-parameterised 3x3 convolution: 1x1 - BN - depthwise 3x3 - 1x1 - BN, linear from end to end.

    The map is padded behind the first norm by that norm's response to zero, so that all of it is one 3x3 convolution
    of the zero-padded input (`folded`).
    Source: Yao et al., "Spike-driven Transformer V2", ICLR 2024, after Ding et al., "RepVGG", CVPR 2021.

    Args:
        in_channels (int): C.
        out_channels (int): C'.
        groups (int): Makes as many separate re-parameterised convolutions of C'/groups channels side by side.
        neuron (dict | nn.Module, optional): Neuron in front, see `build_neuron`.
        norm (Callable): ``norm(channels)`` builds a batch norm.

    Shape:
        (T*N, C, H, W) to (T*N, C', H, W).

    Raises:
        TypeError: If `norm` builds anything else.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        groups: int = 1,
        neuron=None,
        norm: Callable[[int], nn.Module] = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        width = in_channels * groups
        self.neuron = build_neuron(neuron)
        self.pw1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.norm1 = norm(width)
        self.dw = nn.Conv2d(width, width, 3, groups=width, bias=False)
        self.pw2 = nn.Conv2d(width, out_channels, 1, groups=groups, bias=False)
        self.norm2 = norm(out_channels)
        if not isinstance(self.norm1, _BatchNorm):
            raise TypeError(f'SpikeRepConv folds, and needs batch norms, got {type(self.norm1).__name__}')

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(self.pw1(like_weight(self.neuron(x), self.pw1.weight)))
        border = F.pad(x.new_zeros(1, 1, *x.shape[-2:]), (1, 1, 1, 1), value=1.0)
        at_zero = _affine(self.norm1)[1].to(x.dtype).view(1, -1, 1, 1)
        x = torch.addcmul(F.pad(x, (1, 1, 1, 1)), border, at_zero)
        return self.norm2(self.pw2(self.dw(x)))

    @torch.no_grad()
    def folded(self) -> SpikeConv2d:
        """Return the one 3x3 convolution, its neuron in front, that does the same with the statistics as they are."""
        scale1, shift1 = (v.double() for v in _affine(self.norm1))
        scale2, shift2 = (v.double() for v in _affine(self.norm2))
        groups = self.pw2.groups
        first = (scale1[:, None] * self.pw1.weight.double().flatten(1)).unflatten(0, (groups, -1))  # g, m, c
        depth = self.dw.weight.double().squeeze(1).unflatten(0, (groups, -1))  # g, m, 3, 3
        last = (scale2[:, None] * self.pw2.weight.double().flatten(1)).unflatten(0, (groups, -1))  # g, o, m
        weight = torch.einsum('gom,gmhw,gmc->gochw', last, depth, first).flatten(0, 1)
        bias = torch.einsum('gom,gmhw,gm->go', last, depth, shift1.unflatten(0, (groups, -1))).flatten() + shift2
        return _conv_like(self, weight, bias)


def _conv_like(rep: SpikeRepConv, weight: Tensor, bias: Tensor) -> SpikeConv2d:
    like = rep.pw1.weight
    conv = SpikeConv2d(weight.shape[1], weight.shape[0], 3, padding=1, neuron=rep.neuron)
    conv.to(like.device, like.dtype).train(rep.training)
    conv.weight.copy_(weight)
    conv.bias.copy_(bias)
    return conv


def _affine(norm: _BatchNorm) -> tuple:
    """Scale and shift of a batch norm by its running statistics."""
    precise = torch.promote_types(norm.running_var.dtype, torch.float32)  # float16 has no such small eps
    scale = (norm.running_var.to(precise) + norm.eps).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight
    shift = -norm.running_mean * scale
    return scale, shift if norm.bias is None else shift + norm.bias


def _pairs(module: nn.Module) -> Iterator:
    """Names of the children of a module of which one runs right behind the other."""
    if isinstance(module, nn.Sequential):
        names = list(module._modules)
        yield from zip(names, names[1:])
    order = vars(module).get('order', ())  # of mmcv's ConvModule
    if ('conv', 'norm') in zip(order, order[1:]) and module.norm_name:
        yield 'conv', module.norm_name
    yield from getattr(module, 'consecutive', ())


def _fold_norm(layer: nn.Module, norm: _BatchNorm) -> None:
    scale, shift = (v.double() for v in _affine(norm))
    if layer.bias is None:
        layer.bias = nn.Parameter(layer.weight.new_zeros(scale.shape))
    layer.weight.copy_(layer.weight.double() * scale.view(-1, *[1] * (layer.weight.dim() - 1)))
    layer.bias.copy_(layer.bias.double() * scale + shift)


def _fold_gain(layer: nn.Module) -> None:
    """Let the neuron of a layer fire counts, and the weights have its constant: exact if it is a power of two."""
    layer.neuron = copy.copy(layer.neuron)
    layer.weight.mul_(layer.neuron.gain)
    layer.neuron.normalize = False


@torch.no_grad()
def fold_norms(model: nn.Module) -> nn.Module:
    """Return a copy of a model, in evaluation mode, with every foldable part folded; the model stays as it is.

    Each `SpikeRepConv` becomes one 3x3 convolution, and each batch norm goes into the convolution or linear layer
    right in front of it: neighbours in an `nn.Sequential`, the two of an mmcv ConvModule, and the pairs of names that a
    module lists as its attribute `consecutive`. Other norms stay, and those behind a layer that has several places. The
    constant of a normalised I-LIF neuron goes into the weights of the layer behind it. The result is the same function
    up to rounding, which a neuron at its threshold can turn into a spike more or less.

    Args:
        model (nn.Module): Any model.

    Example:
        >>> fold_norms(nn.Sequential(nn.Conv2d(3, 8, 1), nn.BatchNorm2d(8)))
        Sequential(
          (0): Conv2d(3, 8, kernel_size=(1, 1), stride=(1, 1))
          (1): Identity()
        )
    """
    model = copy.deepcopy(model)
    model.eval()  # not chained: stock Swin returns nothing
    if isinstance(model, SpikeRepConv):
        return model.folded()
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, SpikeRepConv):
                setattr(module, name, child.folded())
    uses = Counter(id(part) for module in model.modules() for part in module._modules.values())
    for module in list(model.modules()):
        for first, second in _pairs(module):
            layer, norm = getattr(module, first), getattr(module, second)
            weighted = isinstance(layer, (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)) and uses[id(layer)] == 1
            if weighted and isinstance(norm, _BatchNorm) and norm.running_mean is not None:
                _fold_norm(layer, norm)
                setattr(module, second, nn.Identity())
        if isinstance(module, SPIKING_LAYERS) and isinstance(module.neuron, ILIF) and module.neuron.normalize:
            _fold_gain(module)
    return model
