"""What the gradients of layers do to a `Block` (see `block_ops`)."""

import numpy as np
import torch

from .blocks import Block, at, dense, wrap

aten = torch.ops.aten


def matmul(func, args, kwargs):
    a, b = args
    if isinstance(a, Block):
        b = dense(b)
        other = at(b, (*a.where[:-2], a.where[-1], None))
        return wrap(func(a.values, other), (*a.where[:-1], None), (*a.shape[:-1], b.shape[-1]))
    other = at(a, (*b.where[:-2], None, b.where[-2]))
    return wrap(func(other, b.values), (*b.where[:-2], None, b.where[-1]), (*a.shape[:-1], b.shape[-1]))


def convolution(func, args, kwargs):
    """Gradient of the input of a convolution: a window of the size of the kernel around every position."""
    grad, x, weight, bias, stride, padding, dilation, transposed, output_padding, groups, mask = args
    if transposed or not isinstance(grad, Block) or isinstance(x, Block) or list(mask) != [True, False, False]:
        return NotImplemented
    n = weight.ndim - 2
    stride, padding, dilation = ([*v] * (n if len(v) == 1 else 1) for v in (stride, padding, dilation))
    kernel = weight.shape[2:]
    grad = grad.solid([1], full=True).solid([d + 2 for d in range(n) if kernel[d] > 1 or padding[d]])
    where, lengths, cuts = list(grad.where), [], []
    for d in range(n):
        w, k = where[d + 2], kernel[d]
        w = np.arange(grad.shape[d + 2]) if w is None else w
        if k == 1 and not padding[d]:
            where[d + 2] = w * stride[d]
            stride[d] = 1
            lengths.append(len(w))
            cuts.append((0, len(w)))
            continue
        lengths.append((len(w) - 1) * stride[d] + dilation[d] * (k - 1) + 1)
        first = int(w[0]) * stride[d] - padding[d]
        low, high = max(first, 0), min(first + lengths[-1], x.shape[d + 2])
        if high <= low:
            return NotImplemented
        cuts.append((low - first, high - low))
        where[d + 2] = np.arange(low, high)
    like = x.new_empty((grad.values.shape[0], x.shape[1], *lengths))  # only its shape counts, it is never touched
    values = func(
        grad.values, like, weight, bias, stride, [0] * n, dilation, False, output_padding, groups, [True, False, False]
    )[0]
    for d, (start, length) in enumerate(cuts):
        values = values.narrow(d + 2, start, length)
    return wrap(values, where, x.shape), None, None


def batch_norm(func, args, kwargs):
    grad, _, weight, _, variance, _, _, train, eps, mask = args
    if train or not isinstance(grad, Block) or list(mask) != [True, False, False] or variance is None:
        return NotImplemented
    scale = torch.rsqrt(variance + eps)
    scale = scale if weight is None else scale * weight
    scale = at(scale, grad.where[1:2]).view(-1, *[1] * (grad.ndim - 2))
    return Block((grad.values * scale).to(grad.dtype), grad.where, grad.shape), None, None


def layer_norm(func, args, kwargs):
    grad, x, normalized, mean, rstd, weight, bias, mask = args
    if not isinstance(grad, Block) or list(mask) != [True, False, False]:
        return NotImplemented
    grad = grad.solid(range(grad.ndim - len(normalized), grad.ndim), full=True)
    x, mean, rstd = (at(t, grad.where) for t in (dense(x), mean, rstd))
    values = func(
        grad.values.contiguous(), x.contiguous(), normalized, mean.contiguous(), rstd.contiguous(), weight, bias, mask
    )[0]
    return Block(values, grad.where, grad.shape), None, None


def softmax(func, args, kwargs):
    grad, output, d, dtype = args
    if not isinstance(grad, Block):
        return NotImplemented
    grad = grad.solid([d % grad.ndim], full=True)
    return wrap(func(grad.values, at(dense(output), grad.where), d, dtype), grad.where, grad.shape)


def attention(func, args, kwargs):
    """Rows of the queries, heads and images (or windows) without gradient add nothing."""
    grad, query, key, value, out, logsumexp, dropout, causal = args[:8]
    mask = kwargs.get('attn_mask')
    if not isinstance(grad, Block) or causal or dropout or any(isinstance(a, Block) for a in args[1:]):
        return NotImplemented
    grad = grad.solid([3], full=True)
    rows, heads = grad.where, (*grad.where[:2], None, None)
    if mask is not None:
        kwargs = {**kwargs, 'attn_mask': at(mask, rows)}
    part = [at(query, rows), at(key, heads), at(value, heads), at(out, rows), at(logsumexp, rows[:3])]
    found = func(grad.values.contiguous(), *part, dropout, causal, **kwargs)
    return tuple(wrap(g, w, t.shape) for g, w, t in zip(found, (rows, heads, heads), (query, key, value)))


def max_pool(func, args, kwargs):
    grad, x, kernel, stride, padding, dilation, _, indices = args
    if not isinstance(grad, Block) or isinstance(x, Block) or grad.ndim != 4:
        return NotImplemented
    kernel, stride, padding, dilation = (list(v) * (3 - len(v)) for v in (kernel, stride or kernel, padding, dilation))
    grad = grad.solid([2, 3])
    low, high = [], []
    for d in range(2):
        w = grad.where[d + 2]
        first, last = (0, grad.shape[d + 2] - 1) if w is None else (int(w[0]), int(w[-1]))
        low.append(max(first * stride[d] - padding[d], 0))
        high.append(min(last * stride[d] - padding[d] + dilation[d] * (kernel[d] - 1) + 1, x.shape[d + 2]))
    indices = at(indices, grad.where)
    width, columns = x.shape[3], high[1] - low[1]
    indices = (indices.div(width, rounding_mode='floor') - low[0]) * columns + indices % width - low[1]
    values = grad.values.new_zeros((*grad.values.shape[:2], (high[0] - low[0]) * columns))
    values.scatter_add_(2, indices.flatten(2), grad.values.flatten(2))
    where = (*grad.where[:2], *(np.arange(a, b) for a, b in zip(low, high)))
    return wrap(values.unflatten(2, (-1, columns)), where, x.shape)


def avg_pool(func, args, kwargs):
    grad, x, kernel, stride, padding, ceil_mode, include, divisor = args
    if not isinstance(grad, Block) or isinstance(x, Block) or any(padding) or grad.ndim != 4:
        return NotImplemented
    kernel, stride = (list(v) * (3 - len(v)) for v in (kernel, stride or kernel))
    if ceil_mode and any((s - k) % t for s, k, t in zip(x.shape[2:], kernel, stride)):
        return NotImplemented  # windows beyond the border have fewer elements
    grad = grad.solid([2, 3])
    where, lengths = list(grad.where), []
    for d in range(2):
        w = np.arange(grad.shape[d + 2]) if where[d + 2] is None else where[d + 2]
        lengths.append((len(w) - 1) * stride[d] + kernel[d])
        where[d + 2] = int(w[0]) * stride[d] + np.arange(lengths[-1])
    like = x.new_empty((*grad.values.shape[:2], *lengths))
    values = func(grad.values.contiguous(), like, kernel, stride, [0, 0], False, include, divisor)
    return wrap(values, where, x.shape)


def resize(func, args, kwargs):
    """Interpolation is a matrix for rows and one for columns: those of the block are enough."""
    grad, outer, inner, *rest = args
    if not isinstance(grad, Block):
        return NotImplemented
    forward, where, values = _RESIZERS[func.overloadpacket], list(grad.where), grad.values
    corners = sum(a.name == 'align_corners' for a in func._schema.arguments)
    align, (scale_h, scale_w) = rest[:corners], (*rest[corners:], None, None)[:2]
    for d, scale in ((2, scale_h), (3, scale_w)):
        n, w = inner[d], where[d]
        unit = torch.eye(n, dtype=values.dtype, device=values.device).view(1, n, n, 1)
        matrix = forward(unit, [outer[d - 2], 1], *align, scale, None)[0, :, :, 0]
        matrix = at(matrix, (None, w))
        where[d] = np.flatnonzero(matrix.any(1).cpu().numpy())
        if not len(where[d]):
            return NotImplemented
        matrix = at(matrix, (where[d], None))
        values = matrix @ values if d == 2 else values @ matrix.T
    return wrap(values, where, inner)


_RESIZERS = {
    aten.upsample_nearest2d_backward: aten.upsample_nearest2d,
    aten._upsample_nearest_exact2d_backward: aten._upsample_nearest_exact2d,
    aten.upsample_bilinear2d_backward: aten.upsample_bilinear2d,
    aten.upsample_bicubic2d_backward: aten.upsample_bicubic2d,
}
HANDLERS = {
    **dict.fromkeys(_RESIZERS, resize),
    aten.mm: matmul, aten.bmm: matmul, aten.convolution_backward: convolution,
    aten.native_batch_norm_backward: batch_norm, aten.native_layer_norm_backward: layer_norm,
    aten._softmax_backward_data: softmax, aten._log_softmax_backward_data: softmax,
    aten.max_pool2d_with_indices_backward: max_pool, aten.avg_pool2d_backward: avg_pool,
    aten._scaled_dot_product_flash_attention_for_cpu_backward: attention,
}  # fmt: skip
