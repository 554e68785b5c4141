"""A weight gradient of wide depthwise convolutions that is fast on CPU."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import has_torch_function_unary

STRIP = 3
"""Widest kernel whose depthwise weight gradient has a fast CPU implementation (oneDNN)."""


def weight_gradient(x: Tensor, grad: Tensor, weight: Tensor, stride: tuple, padding: tuple) -> Tensor:
    """Gradient of the weight of a depthwise convolution, computed in strips of `STRIP` kernel columns.

    Args:
        x (Tensor): Input (N, C, H, W).
        grad (Tensor): Gradient of the output, (N, C, H', W').
        weight (Tensor): (C, 1, k, k'); its shape alone matters.
        stride (tuple[int]): Of the convolution.
        padding (tuple[int]): Zeros on each side, of height and width.
    """
    columns = weight.shape[-1]
    x = F.pad(x, (padding[1], padding[1], padding[0], padding[0]))
    strips = []
    for first in range(0, columns, STRIP):
        last = min(first + STRIP, columns)
        part = x[..., first : x.shape[-1] - (columns - last)]
        size = (*weight.shape[:-1], last - first)
        strips.append(torch.nn.grad.conv2d_weight(part, size, grad, stride, 0, 1, len(weight)))
    return torch.cat(strips, -1)


class _WeightGradient(torch.autograd.Function):
    """Passes a convolution's output on, and hands the weight the gradient that the convolution was spared."""

    @staticmethod
    def forward(output: Tensor, x: Tensor, weight: Tensor, stride: tuple, padding: tuple) -> Tensor:
        return output.view_as(output)

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        _, x, weight, ctx.stride, ctx.padding = inputs
        ctx.save_for_backward(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        x, weight = ctx.saved_tensors
        gradient = weight_gradient(x.to(grad.dtype), grad, weight, ctx.stride, ctx.padding)
        return grad, None, gradient.to(weight.dtype), None, None


def is_slow(conv: torch.nn.Conv2d, x: Tensor) -> bool:
    """Whether the weight gradient of this convolution of x is to be computed in strips.

    Only on CPU, where it is several times faster, and only where nothing but a first derivative can be asked for.
    """
    depthwise = conv.groups == conv.in_channels == conv.out_channels and conv.kernel_size[1] > STRIP
    plain = conv.padding_mode == 'zeros' and not isinstance(conv.padding, str) and conv.dilation == (1, 1)
    learns = torch.is_grad_enabled() and conv.weight.requires_grad
    watched = torch.jit.is_tracing() or torch.compiler.is_compiling() or has_torch_function_unary(x)
    return depthwise and plain and learns and x.dim() == 4 and x.device.type == 'cpu' and not watched


def depthwise_conv2d(conv: torch.nn.Conv2d, x: Tensor) -> Tensor:
    """What `conv` makes of x, its weight gradient in strips; first derivatives only."""
    y = F.conv2d(x, conv.weight.detach(), conv.bias, conv.stride, conv.padding, 1, conv.groups)
    return _WeightGradient.apply(y, x.detach(), conv.weight, conv.stride, conv.padding)
