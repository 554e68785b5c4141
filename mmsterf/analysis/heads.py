"""Run the heads of any detector or segmentor on one image as in testing, up to, not including, post-processing."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Optional, Union
from unittest import mock

import torch
from torch import Tensor, nn

from mmsterf.erf.layers import tensors
from mmsterf.errors import InvalidInput

from .features import explained

Region = Union[str, Sequence[int]]
"""What heads of regions look at: 'image', 'predicted', or a box (top, left, bottom, right) in pixels."""


class _Done(Exception):
    """What is left is post-processing."""


def run_with_heads(model: nn.Module, x: Tensor, region: Region = 'image') -> None:
    """Run backbone, neck, and every head, auxiliary ones included.

    Heads of regions of interest see one region per image, and their grids are those of this region.

    Args:
        model: Any model of mmdet, mmseg or mmpretrain.
        x: Images.
        region: 'image' for all of it, a box (top, left, bottom, right) in pixels, at every stage of a cascade, or
            'predicted' for the proposal with the highest score and the boxes that the model makes of it.

    Raises:
        InvalidInput: If the model has no heads, the box is not in the image, or the device lacks an operator.
    """
    size = tuple(x.shape[-2:])
    with explained(model, x), ExitStack() as stack:
        for name, head in model.named_children():
            for part in _several(head) if name.endswith('head') else ():
                _as_called(part, stack)
        if hasattr(model, 'encode_decode'):
            _segment(model, x, size)
        elif any(base.__name__ == 'BaseDetector' for base in type(model).__mro__):
            _detect(model, x, size, region)
        elif hasattr(model, 'extract_feat') and hasattr(model, 'head'):
            model(x, mode='tensor')
        else:
            why = getattr(model, 'whose', f'{type(model).__name__} has none')
            raise InvalidInput(f'--heads runs the heads of detectors, segmentors and classifiers; {why}')


def _segment(model: nn.Module, x: Tensor, size: tuple[int, int]) -> None:
    """Run a segmentor: all stages of a cascade, and auxiliary heads."""
    if not hasattr(model, 'backbone'):  # its image encoder sees other images than its head
        model.encode_decode(x, [facts_of(size)] * len(x))
        return
    with _once(model, x) as num:
        model.encode_decode(x, [facts_of(size)] * num)
        auxiliary = getattr(model, 'auxiliary_head', None)
        if auxiliary is not None:
            features = model.extract_feat(x)
            for head in auxiliary if isinstance(auxiliary, nn.ModuleList) else [auxiliary]:
                head(features)


def _detect(model: nn.Module, x: Tensor, size: tuple[int, int], region: Region) -> None:
    from mmdet.structures import DetDataSample

    box = None if region == 'predicted' else torch.tensor([_box(region, size)], dtype=x.dtype, device=x.device)
    with _once(model, x) as num, ExitStack() as stack:
        samples = [DetDataSample(metainfo=facts_of(size)) for _ in range(num)]
        if getattr(model, 'roi_head', None) is not None:
            _look_at(model, box, samples, stack)
        elif getattr(model, 'mask_head', None) is None:
            replace(getattr(model, 'bbox_head', None), 'predict_by_feat', _stop, stack)
        else:  # its mask head needs a box
            _with_one(getattr(model, 'bbox_head', None), stack)
            replace(model.mask_head, 'predict_by_feat', _stop, stack)
        replace(getattr(model, 'panoptic_fusion_head', None), 'predict', _stop, stack)
        with suppress(_Done):
            model.predict(x, samples, rescale=False)


def _look_at(model: nn.Module, box: Optional[Tensor], samples: list, stack: ExitStack) -> None:
    """Let the heads of regions see one box per image: the given one, or what is predicted."""
    from mmengine.structures import InstanceData

    def given() -> InstanceData:
        ones = torch.ones(1, device=box.device)
        return InstanceData(bboxes=box.clone(), scores=ones, labels=ones.long() - 1)

    def one_of(found: InstanceData) -> InstanceData:
        if 'features' in found:  # learnt proposals see each other
            return found
        return given() if box is not None else found[:1]

    if getattr(model, 'rpn_head', None) is not None:
        propose = model.rpn_head.predict
        replace(model.rpn_head, 'predict', lambda *a, **k: [one_of(found) for found in propose(*a, **k)], stack)
    elif box is None:
        raise InvalidInput(f'{type(model).__name__} has no proposals of its own: name a box, or image')
    else:
        for sample in samples:
            sample.proposals = given()
    heads = model.roi_head
    own_operators(heads, stack)
    for name in ('mask_head', 'mask_iou_head', 'grid_head'):
        for head in _several(getattr(heads, name, None)):
            replace(head, 'predict_by_feat', _found, stack)
    for head in _several(getattr(heads, 'bbox_head', None)):
        if box is None:
            _with_one(head, stack)
        else:
            replace(head, 'predict_by_feat', lambda *args, **kwargs: [given() for _ in samples], stack)
            replace(head, 'regress_by_class', lambda rois, *args, **kwargs: rois, stack)


def own_operators(model: nn.Module, stack: ExitStack) -> None:
    """Let layers use mmcv's operators where they use torchvision's, which give the same and may not be there."""
    for module in model.modules():
        if getattr(module, 'use_torchvision', False):
            stack.enter_context(mock.patch.object(module, 'use_torchvision', False))


def _with_one(head: Optional[nn.Module], stack: ExitStack) -> None:
    """Make a head return its best box, however small its score."""
    if head is None:
        return
    predict = head.predict_by_feat

    def best(*args, **kwargs):
        for key in ('cfg', 'rcnn_test_cfg'):
            if kwargs.get(key) is not None:
                kwargs[key] = _of_one(kwargs[key])
        return [found[:1] for found in predict(*args, **kwargs)]

    replace(head, 'predict_by_feat', best, stack)
    if getattr(head, 'test_cfg', None) is not None:
        stack.enter_context(mock.patch.object(head, 'test_cfg', _of_one(head.test_cfg)))


def _of_one(cfg):
    return type(cfg)({**cfg, 'score_thr': -1.0, 'max_per_img': 1})


def _as_called(module: nn.Module, stack: ExitStack) -> None:
    """Let hooks see a module whose own code runs `self.forward`, as mmseg's heads do."""
    forward, called = module.forward, []

    def run(*args, **kwargs):
        if called:
            called.clear()
            return forward(*args, **kwargs)
        return module(*args, **kwargs)

    handle = module.register_forward_pre_hook(lambda *args: called.append(True), prepend=True)
    stack.callback(handle.remove)
    stack.enter_context(mock.patch.object(module, 'forward', run))


def _found(*args, results_list: Optional[list] = None, **kwargs) -> list:
    """In place of pasting masks: the boxes that they belong to."""
    return args[1] if results_list is None else results_list


def _stop(*args, **kwargs) -> None:
    raise _Done


def replace(module: Optional[nn.Module], name: str, function, stack: ExitStack) -> None:
    """Put a function in the place of a method that a module may have."""
    if hasattr(module, name):
        stack.enter_context(mock.patch.object(module, name, function))


def _several(head) -> list:
    return [] if head is None else list(head) if isinstance(head, nn.ModuleList) else [head]


@contextmanager
def _once(model: nn.Module, x: Tensor) -> Iterator[int]:
    """Extract the features now and not again; gives the number of images, which steps may be folded into."""
    features = model.extract_feat(x)
    with mock.patch.object(model, 'extract_feat', lambda *args, **kwargs: features):
        yield tensors(features)[0].shape[0]


def _box(region: Region, size: tuple[int, int]) -> tuple:
    """Return the box (x1, y1, x2, y2) of a region."""
    top, left, bottom, right = (0, 0, *size) if isinstance(region, str) else region
    if not (0 <= top < bottom <= size[0] and 0 <= left < right <= size[1]):
        raise InvalidInput(
            f'the region is a box TOP LEFT BOTTOM RIGHT of pixels inside {size[0]} x {size[1]}, '
            f'got {" ".join(map(str, region))}'
        )
    return left, top, right, bottom


def facts_of(size: tuple[int, int]) -> dict:
    """Return what heads ask of an image of (H, W) that went through no pipeline."""
    return {
        'img_shape': size, 'ori_shape': size, 'pad_shape': size, 'batch_input_shape': size, 'img_id': 0,
        'img_path': '', 'scale_factor': (1.0, 1.0), 'flip': False, 'flip_direction': None,
        'border': (0, size[0], 0, size[1]), 'padding_size': [0] * 4,
    }  # fmt: skip
