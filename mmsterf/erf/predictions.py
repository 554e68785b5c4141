"""What a detector, segmentor or classifier answers for one input, with the graph from the input to every score.

Detectors and segmentors predict by their own code (`predict`, `inference`); only what cuts their graph is lifted:
one-stage heads of mmdet detach their score maps before they pick from them.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mmsterf.errors import InvalidInput

from .layers import tensors


@dataclass
class Boxes:
    """Objects that a detector found in one input, best first.

    Attributes:
        scores: (N,), with a graph.
        labels: (N,) class indices.
        corners: (N, 4) x1, y1, x2, y2 in input pixels; None where a detector gives masks alone.
        threshold: Key and value of the least score the model reports, if it has one.
    """

    scores: Tensor
    labels: Tensor
    corners: Optional[Tensor]
    threshold: Optional[tuple[str, float]]


@dataclass
class Logits:
    """Scores of classes: (K, H, W) of a segmentor at the size of the input, (K,) of a classifier; with a graph."""

    values: Tensor


def predict(model: nn.Module, x: Tensor, size: tuple[int, int]):
    """Return `Boxes` of a detector or `Logits` of others for one input, connected to `x`.

    Args:
        model: A model inside `mmsterf.erf.untouched`.
        x: Input of one sample, as the model takes it: (1, C, H, W), (T, 1, C, H, W) or (T, C, H, W).
        size: (H, W).

    Raises:
        InvalidInput: If the model gives neither, or scores that no gradient goes through.
    """
    for part in ('student', 'detector'):  # of semi-supervised wrappers and trackers
        inner = getattr(model, part, None)
        model = inner if hasattr(inner, 'add_pred_to_datasample') else model
    if hasattr(model, 'add_pred_to_datasample'):
        return _detect(model, x, size)
    if hasattr(model, 'encode_decode'):
        logits = _segment(model, x, size)
    else:
        logits = model(x)
        logits = logits.get('out', logits) if isinstance(logits, dict) else logits
    name = type(model).__name__
    found = tensors(logits)
    if len(found) != 1 or found[0].ndim not in (2, 4) or len(found[0]) != 1:
        shapes = ', '.join(str(tuple(t.shape)) for t in found[:4]) or 'none'
        raise InvalidInput(
            f'{name} is no detector, segmentor or classifier: its outputs have the shapes {shapes}, where an answer '
            'needs (1, classes) or (1, classes, H, W)'
        )
    logits = found[0]
    if not logits.requires_grad:
        raise InvalidInput(f'the logits of {name} do not depend on its input: no gradient goes through')
    if logits.ndim == 4 and tuple(logits.shape[-2:]) != tuple(size):
        logits = F.interpolate(logits, size, mode='bilinear', align_corners=False)
    logits = logits[0]
    if logits.ndim == 3 and len(logits) == 1:  # two classes from one logit, as mmseg reads it
        threshold = getattr(getattr(model, 'decode_head', None), 'threshold', None) or 0.5
        logits = logits - math.log(threshold / (1 - threshold))
        logits = torch.cat([-logits, logits])
    return Logits(logits)


def _meta(size: tuple[int, int]) -> dict:
    return dict(
        img_shape=size, ori_shape=size, pad_shape=size, batch_input_shape=size, scale_factor=(1.0, 1.0),
        padding_size=[0, 0, 0, 0], flip=False, img_id=0, img_path='',
    )  # fmt: skip


def _segment(model: nn.Module, x: Tensor, size: tuple[int, int]) -> Tensor:
    from mmsterf.analysis.features import operators

    # mmseg slides a window over images only; over sequences, the whole of it is looked at
    run = model.inference if x.ndim == 4 and len(x) == 1 else model.encode_decode
    with operators():
        return run(x, [_meta(size)])


def _detect(model: nn.Module, x: Tensor, size: tuple[int, int]) -> Boxes:
    from mmdet.structures import DetDataSample

    from mmsterf.analysis.features import operators

    name = type(model).__name__
    if hasattr(model, 'roi_head') and not getattr(model, 'with_rpn', True):
        raise InvalidInput(f'{name} has no boxes of its own: it takes proposals that another detector made')
    sample = DetDataSample(metainfo=_meta(size))
    with _connected(model), operators():
        (sample,) = model.predict(x, [sample], rescale=False)
    found = sample.get('pred_instances')
    if found is None or 'scores' not in found:
        raise InvalidInput(f'{name} predicts {", ".join(sample.keys()) or "nothing"}, and no scored boxes')
    if len(found) and not found.scores.requires_grad:
        raise InvalidInput(f'the scores of {name} carry no gradient: its head cuts the graph to the input')
    order = found.scores.detach().argsort(descending=True, stable=True)
    corners = found.get('bboxes')
    corners = None if corners is None else getattr(corners, 'tensor', corners).detach()[order]
    if corners is not None and len(corners) and not corners.any():
        corners = None  # heads that give masks fill in zeros
    labels = found.get('labels', torch.zeros(len(found), dtype=torch.long))
    return Boxes(found.scores[order], labels[order], corners, _threshold(model))


def _threshold(model: nn.Module) -> Optional[tuple[str, float]]:
    """Key in the config and value of `score_thr`, which a detector compares its scores with."""
    cfg = getattr(model, 'test_cfg', None) or {}
    for prefix, part in (('test_cfg.rcnn', cfg.get('rcnn') or {}), ('test_cfg', cfg)):
        if part.get('score_thr'):
            return f'model.{prefix}.score_thr', part['score_thr']
    return None


class _Attached(TorchFunctionMode):
    """Inside, `detach` does nothing, and roots of zeros, as PAA takes them of padding, have no infinite slope."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is Tensor.detach:
            return args[0]
        if func is Tensor.sqrt:
            args = (args[0].clamp(min=torch.finfo(args[0].dtype).tiny), *args[1:])
        if func is Tensor.numpy and args[0].requires_grad:
            args = (args[0].detach(), *args[1:])
        return func(*args, **(kwargs or {}))


@contextmanager
def _connected(model: nn.Module) -> Iterator[None]:
    """Keep the graph where the heads that give the answer pick boxes, and leave out the masks of boxes."""

    def attached(method):
        def run(*args, **kwargs):
            with _Attached():
                return method(*args, **kwargs)

        return run

    def without_masks(*args, results_list=None, **kwargs):
        return args[-1] if results_list is None else results_list

    two_stages, patched = hasattr(model, 'roi_head'), []

    def patch(module, name, method):
        patched.append((module, name))
        setattr(module, name, method)

    try:
        for name, module in model.named_modules():
            # proposals stay detached: a score is taken at its box
            if callable(getattr(module, 'predict_by_feat', None)) and not (two_stages and name.endswith('rpn_head')):
                patch(module, 'predict_by_feat', attached(module.predict_by_feat))
        if two_stages and hasattr(model.roi_head, 'predict_mask'):
            patch(model.roi_head, 'predict_mask', without_masks)
        elif getattr(model, 'with_bbox', False) and isinstance(getattr(model, 'mask_head', None), nn.Module):
            patch(model.mask_head, 'predict', without_masks)
        yield
    finally:
        for module, name in patched:
            vars(module).pop(name, None)
