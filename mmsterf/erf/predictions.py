"""What a detector, segmentor or classifier answers for one input, with the graph from the input to every score.

Detectors and segmentors predict by their own code (`predict`, `inference`); only what cuts their graph is lifted:
one-stage heads of mmdet detach their score maps before they pick from them.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Optional
from unittest import mock

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from mmsterf.errors import InvalidInput

from .layers import tensors
from .running import run


@dataclass
class Boxes:
    """Objects that a detector found in one input, best first.

    Attributes:
        scores: (N,), with a graph.
        labels: (N,) class indices.
        corners: (N, 4) x1, y1, x2, y2 in input pixels; None where a detector gives masks alone.
        advice: ``advice()`` says how to get more than there are.
    """

    scores: Tensor
    labels: Tensor
    corners: Optional[Tensor]
    advice: Callable[[], str]


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
    model = _answering(model)
    if hasattr(model, 'whose'):
        raise InvalidInput(f'{model.whose}: it gives no answers; its layers can be analysed, without --target')
    name, given = type(model).__name__, run_answer(model, x)
    if hasattr(model, 'add_pred_to_datasample'):
        return _boxes(model, x, given, name)
    found = tensors(given)
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


def run_answer(model: nn.Module, x: Tensor):
    """Return what a model predicts for one input: a detector a data sample, others logits.

    Args:
        model, x: See `predict`.

    Raises:
        InvalidInput: If its code does not run on the input.
    """
    model, size = _answering(model), tuple(x.shape[-2:])
    if hasattr(model, 'add_pred_to_datasample'):
        return _detect(model, x, size)
    if hasattr(model, 'encode_decode'):
        return _segment(model, x, size)
    logits = run(model, x)
    return logits.get('out', logits) if isinstance(logits, dict) else logits


def _answering(model: nn.Module) -> nn.Module:
    """Return the part of semi-supervised wrappers and trackers that answers."""
    for part in ('student', 'detector'):
        inner = getattr(model, part, None)
        model = inner if hasattr(inner, 'add_pred_to_datasample') else model
    return model


def _segment(model: nn.Module, x: Tensor, size: tuple[int, int]) -> Tensor:
    from mmsterf.analysis.features import explained
    from mmsterf.analysis.heads import facts_of

    # mmseg slides a window over images only; over sequences, the whole of it is looked at
    of_images = model.inference if x.ndim == 4 and len(x) == 1 else model.encode_decode
    with explained(model, x):
        return of_images(x, [facts_of(size)])


def _detect(model: nn.Module, x: Tensor, size: tuple[int, int]):
    from mmdet.structures import DetDataSample

    from mmsterf.analysis.features import explained
    from mmsterf.analysis.heads import facts_of

    if hasattr(model, 'roi_head') and not getattr(model, 'with_rpn', True):
        raise InvalidInput(
            f'{type(model).__name__} has no boxes of its own: it takes proposals that another detector made; its '
            'layers can be analysed, without --target'
        )
    sample = DetDataSample(metainfo=facts_of(size))
    with explained(model, x), _connected(model):
        return model.predict(x, [sample], rescale=False)[0]


def _boxes(model: nn.Module, x: Tensor, sample, name: str) -> Boxes:
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
    return Boxes(found.scores[order], labels[order], corners, partial(_advice, model, x, len(found)))


def _instances_of(model: nn.Module, stack: ExitStack) -> None:
    """Let panoptic models give the instances that they make their map of, which have scores."""
    from mmdet.models.detectors.base import BaseDetector

    from mmsterf.analysis.heads import replace

    head = getattr(model, 'panoptic_fusion_head', None)
    if hasattr(head, 'instance_postprocess'):
        cfg = type(head.test_cfg)({**head.test_cfg, 'panoptic_on': False, 'instance_on': True})
        stack.enter_context(mock.patch.object(head, 'test_cfg', cfg))
    elif head is not None and hasattr(model, 'roi_head'):
        replace(head, 'predict', lambda instances, maps: instances, stack)
        replace(model, 'add_pred_to_datasample', partial(BaseDetector.add_pred_to_datasample, model), stack)


def _advice(model: nn.Module, x: Tensor, num: int) -> str:
    """Say what makes a detector report more boxes."""
    cfg = getattr(model, 'test_cfg', None) or {}
    for prefix, part in (('test_cfg.rcnn', cfg.get('rcnn') or {}), ('test_cfg', cfg)):
        if part.get('score_thr'):
            key = f'{getattr(model, "config_key", "model")}.{prefix}.score_thr'
            return f'--cfg-options {key}=0 lowers its threshold of {part["score_thr"]}'
    if num:
        return 'no threshold holds others back'
    with torch.no_grad():
        overflow = not all(y.isfinite().all() for y in tensors(model.extract_feat(x)))
    if overflow:
        return 'its features are not finite, as random weights may make them: give a checkpoint'
    return 'no score or pair of corners passes what it asks of them: give a checkpoint if it has random weights'


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
    from mmsterf.analysis.heads import own_operators, replace

    def attached(method):
        def run(*args, **kwargs):
            with _Attached():
                return method(*args, **kwargs)

        return run

    def without_masks(*args, results_list=None, **kwargs):
        return args[-1] if results_list is None else results_list

    two_stages = hasattr(model, 'roi_head')
    with ExitStack() as stack:
        own_operators(model, stack)
        _instances_of(model, stack)
        for name, module in model.named_modules():
            # proposals stay detached: a score is taken at its box
            if callable(getattr(module, 'predict_by_feat', None)) and not (two_stages and name.endswith('rpn_head')):
                replace(module, 'predict_by_feat', attached(module.predict_by_feat), stack)
                if not hasattr(module, 'loss_cls'):  # what picks boxes asks for it, and SSD's head has none
                    stack.enter_context(mock.patch.object(module, 'loss_cls', None, create=True))
        if two_stages:
            replace(model.roi_head, 'predict_mask', without_masks, stack)
        elif getattr(model, 'with_bbox', False) and isinstance(getattr(model, 'mask_head', None), nn.Module):
            replace(model.mask_head, 'predict', without_masks, stack)
        yield
