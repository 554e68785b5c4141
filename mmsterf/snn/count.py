"""The count of an I-LIF neuron: clip, round, and the straight-through gradient, one byte kept for each element."""

from functools import cache
from importlib import import_module
from importlib.util import find_spec

import torch
from torch import Tensor
from torch._C._functorch import is_functorch_wrapped_tensor


@cache
def _kernels():
    """`mmsterf.snn.count_kernels`, or None without Triton."""
    return import_module('mmsterf.snn.count_kernels') if find_spec('triton') else None


def _kernels_for(x: Tensor):
    """Kernels for a tensor's device, or None: on CPU, without Triton, and where a trace or a transform looks on."""
    if x.device.type != 'cuda' or type(x) is not Tensor or torch.compiler.is_compiling():
        return None
    return None if is_functorch_wrapped_tensor(x) else _kernels()


class _Count(torch.autograd.Function):
    """``round(clip(x, 0, high)) * gain`` with gradient `gain` where 0 <= x <= high.

    Keeps one byte per element instead of the input, and nothing at all in inference.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, high: int, gain: float, learns: bool) -> tuple:
        if kernels := _kernels_for(x):
            return kernels.forward(x, high, gain, learns)
        y = x.clamp(0, high)
        inside = y == x if learns else None  # one comparison: torch's are slow on CPU
        y.round_()
        return (y if gain == 1 else y.mul_(gain)), inside

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        inside = output[1]
        ctx.gain = inputs[2]
        if inside is not None:
            ctx.mark_non_differentiable(inside)
            ctx.save_for_backward(inside)

    @staticmethod
    def backward(ctx, grad: Tensor, _):
        (inside,) = ctx.saved_tensors
        if type(grad) is not Tensor:
            # A gradient that knows where it is zero (`mmsterf.erf.blocks`) multiplies there only.
            return grad * inside * ctx.gain, None, None, None
        if kernels := _kernels_for(grad):
            return kernels.backward(grad, inside, ctx.gain), None, None, None
        # Bytes, because torch's conversions of booleans are slow on CPU; here, because tracing a forward pass takes no
        # view of booleans. The product has the layout of the mask, not of the gradient: torch's CPU batch norm misreads
        # gradients of a single image that come with the strides of a transposed view.
        grad = inside.view(torch.uint8).to(grad.dtype).mul_(grad)
        return (grad if ctx.gain == 1 else grad.mul_(ctx.gain)), None, None, None


def traceable_count(x: Tensor, high: int, gain: float) -> Tensor:
    """What `_Count` computes, bit for bit, and its gradient, of plain functions (and with more memory)."""
    y = x.clamp(0, high)
    y = y + (y.round() - y).detach()  # both exact: a difference of numbers within a factor of 2, or y itself
    return y if gain == 1 else y * gain


def count(x: Tensor, high: int, gain: float) -> Tensor:
    """``round(clip(x, 0, high)) * gain``, half to even, with gradient `gain` where 0 <= x <= high.

    On CUDA, with Triton, one kernel forward and one backward; plain functions elsewhere, with the same results.

    Args:
        x (Tensor): Any shape, floating point.
        high (int): Largest count.
        gain (float): What a count of one comes out as.
    """
    if torch.jit.is_tracing():  # it takes in torch's own functions alone, in files, and with and without grad
        return traceable_count(x, high, gain)
    return _Count.apply(x, high, gain, x.requires_grad and torch.is_grad_enabled())[0]
