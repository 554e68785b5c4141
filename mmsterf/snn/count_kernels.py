"""The count of an I-LIF neuron on CUDA: one Triton kernel forward, one backward. Imported where Triton is there.

Same results as `mmsterf.snn.count` on CPU, bit for bit: half to even, NaN stays NaN, one byte kept for each element.
``TRITON_INTERPRET=1`` runs them on CPU (Triton's interpreter).
"""

from typing import Optional

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 1024


@triton.jit
def _forward(x, y, inside, number, HIGH: tl.constexpr, GAIN: tl.constexpr, LEARNS: tl.constexpr, SIZE: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    there = at < number
    value = tl.load(x + at, there, 0.0)
    wide = value if value.dtype == tl.float64 else value.to(tl.float32)
    # Not minimum and maximum, which drop NaN.
    clipped = tl.where(wide < 0, 0.0, tl.where(wide > HIGH, HIGH, wide))
    below = tl.floor(clipped)
    rest = clipped - below
    odd = tl.floor(below * 0.5) != below * 0.5
    up = (rest > 0.5) | ((rest == 0.5) & odd)
    fired = tl.where(up, below + 1.0, below) * GAIN
    tl.store(y + at, fired.to(y.dtype.element_ty), there)
    if LEARNS:
        tl.store(inside + at, (clipped == wide).to(tl.uint8), there)


@triton.jit
def _backward(grad, inside, out, number, GAIN: tl.constexpr, SIZE: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * SIZE + tl.arange(0, SIZE)
    there = at < number
    value = tl.load(grad + at, there, 0.0)
    wide = value if value.dtype == tl.float64 else value.to(tl.float32)
    kept = tl.load(inside + at, there, 0).to(wide.dtype)
    tl.store(out + at, (wide * kept * GAIN).to(out.dtype.element_ty), there)


def forward(x: Tensor, high: int, gain: float, learns: bool) -> tuple[Tensor, Optional[Tensor]]:
    """Counts times `gain`, and where x is inside 0 to `high`, a byte each, or None where nothing learns."""
    y = torch.empty_like(x)  # of the strides of x where these are dense: memory is gone through in its own order
    if y.stride() != x.stride():
        x = x.contiguous()
        y = torch.empty_like(x)
    inside = torch.empty_like(x, dtype=torch.bool) if learns else None
    if x.numel():
        with torch.cuda.device_of(x):
            _forward[triton.cdiv(x.numel(), BLOCK),](
                x, y, inside.view(torch.uint8) if learns else y, x.numel(), float(high), float(gain), learns, BLOCK
            )
    return y, inside


def backward(grad: Tensor, inside: Tensor, gain: float) -> Tensor:
    """Gradient of the input, in the layout of `inside`."""
    if grad.stride() != inside.stride():
        grad = torch.empty_like(inside, dtype=grad.dtype).copy_(grad)
    out = torch.empty_like(grad)
    if grad.numel():
        with torch.cuda.device_of(grad):
            _backward[triton.cdiv(grad.numel(), BLOCK),](
                grad, inside.view(torch.uint8), out, grad.numel(), float(gain), BLOCK
            )
    return out
