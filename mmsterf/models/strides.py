"""Strides as configured against strides as they are."""

from typing import Optional

from torch import nn


def map_strides(model: nn.Module) -> Optional[tuple]:
    """Strides of the maps that the heads of a detector or segmentor see, from its backbone's `out_strides`.

    Returns None where nobody can tell: a backbone without `out_strides`, or a neck that is no FPN.
    """
    strides = getattr(model.backbone, 'out_strides', None)
    neck = getattr(model, 'neck', None)
    if strides is None or neck is None:
        return strides
    if not all(hasattr(neck, name) for name in ('start_level', 'backbone_end_level', 'num_outs')):
        return None
    levels = list(strides[neck.start_level : neck.backbone_end_level])
    while len(levels) < neck.num_outs:
        levels.append(2 * levels[-1])
    return tuple(levels)


def _configured(model: nn.Module):
    for head in ('rpn_head', 'bbox_head'):
        generator = getattr(getattr(model, head, None), 'prior_generator', None)
        if generator is not None:
            yield f'{head}.prior_generator.strides', tuple(pair[0] for pair in generator.strides)
    for name in ('bbox_roi_extractor', 'mask_roi_extractor'):
        extractor = getattr(getattr(model, 'roi_head', None), name, None)
        if extractor is not None and hasattr(extractor, 'featmap_strides'):
            yield f'roi_head.{name}.featmap_strides', tuple(extractor.featmap_strides)
    # A stock FPN head may take other strides to upsample less.
    head = getattr(model, 'decode_head', None)
    if getattr(head, 'true_strides', False):
        yield 'decode_head.feature_strides', tuple(head.feature_strides)


def check_strides(model: nn.Module) -> None:
    """Refuse a model whose anchors, RoI extractors or spiking FPN head take its maps for maps of other strides.

    Any mmdet detector or mmseg segmentor will do; one whose attribute `check_strides` is False, or whose strides cannot
    be told, passes.

    Raises:
        ValueError: If configured strides disagree with the maps'; the message names both.
    """
    expected = map_strides(model) if getattr(model, 'check_strides', True) else None
    if expected is None:
        return
    for name, found in _configured(model):
        if found != expected[: len(found)]:
            meant = ''
            if not name.startswith('decode_head'):
                meant = ", or, if it is meant, give the model check_strides=False (mmsterf's detectors take it)"
            raise ValueError(
                f'{name} is {found}, but the maps have strides {expected} (backbone.out_strides '
                f'{model.backbone.out_strides}). Set {name} to {expected[: len(found)]}{meant}.'
            )
