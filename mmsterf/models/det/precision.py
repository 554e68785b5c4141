"""Detectors with weights of 16 bits: boxes and pooling stay in float32, which mmcv's operators need, and accuracy."""

import torch
from torch import Tensor, nn

from ..time_steps import heads

_HALF = (torch.float16, torch.bfloat16)


def _cast(value, dtype: torch.dtype):
    """Floating-point tensors in nested tuples and lists to another precision."""
    if isinstance(value, (tuple, list)):
        return type(value)(_cast(v, dtype) for v in value)
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


def _weights_dtype(module: nn.Module) -> torch.dtype:
    return next((p.dtype for p in module.parameters()), torch.float32)


def _inputs_like_weights(module: nn.Module, args: tuple):
    dtype = _weights_dtype(module)
    return _cast(args, dtype) if dtype in _HALF else None


def _outputs_in_float32(module: nn.Module, args: tuple, output):
    return _cast(output, torch.float32) if _weights_dtype(module) in _HALF else None


def _pool_in_float32(module: nn.Module, args: tuple):
    feats, rois, *rest = args
    mixed = feats[0].dtype in _HALF and feats[0].dtype != rois.dtype
    mixed = mixed and not torch.is_autocast_enabled(rois.device.type)
    return (_cast(feats, torch.float32), rois.float(), *rest) if mixed else None


def boxes_in_float32(model: nn.Module) -> None:
    """Let a detector's heads give float32 whatever their weights are, and RoIs be pooled in it.

    A pixel of 1000 has no neighbour nearer than 1 in float16 and than 4 in bfloat16. Weights of 32 bits change nothing.
    """
    for _, head in heads(model):
        head.register_forward_pre_hook(_inputs_like_weights)
        head.register_forward_hook(_outputs_in_float32)
    for module in model.modules():
        if hasattr(module, 'roi_layers'):
            module.register_forward_pre_hook(_pool_in_float32)
