"""Strides as configured against strides as they are."""

import inspect
from typing import Optional

import torch
from torch import Tensor, nn

_SIDE = 512
"""Side of the image that a neck is tried with, large enough for the strides of all levels."""


def map_strides(model: nn.Module) -> Optional[tuple]:
    """Strides of the maps that the heads of a detector or segmentor see, from its backbone's `out_strides`.

    A neck that is no FPN is run on empty maps. Returns None where nobody can tell: a backbone without `out_strides`, or
    a neck that does not take such maps.
    """
    strides = getattr(model.backbone, 'out_strides', None)
    neck = getattr(model, 'neck', None)
    if strides is None or neck is None:
        return strides
    if not all(hasattr(neck, name) for name in ('start_level', 'backbone_end_level', 'num_outs')):
        return _tried(neck, model.backbone)
    levels = list(strides[neck.start_level : neck.backbone_end_level])
    while len(levels) < neck.num_outs:
        levels.append(2 * levels[-1])
    return tuple(levels)


@torch.no_grad()
def _tried(neck: nn.Module, backbone: nn.Module) -> Optional[tuple]:
    channels = getattr(backbone, 'out_channels', None)
    if channels is None:
        return None
    like = next(neck.parameters(), torch.zeros(()))
    steps = getattr(backbone, 'time_steps', 1) if getattr(backbone, 'output', 'rate') == 'folded' else 1
    maps = [like.new_zeros(steps, c, _SIDE // s, _SIDE // s) for c, s in zip(channels, backbone.out_strides)]
    modes = [(module, module.training) for module in neck.modules()]
    neck.eval()
    try:
        outs = neck(tuple(maps))
    except (RuntimeError, ValueError, TypeError, AssertionError, IndexError):
        return None  # of other maps; running the model tells better
    finally:
        for module, mode in modes:
            module.training = mode
    outs = [outs] if isinstance(outs, Tensor) else outs
    if not all(isinstance(out, Tensor) and out.dim() == 4 and 1 < out.shape[-1] <= _SIDE for out in outs):
        return None
    return tuple(round(_SIDE / out.shape[-1]) for out in outs)


def _key(head: nn.Module) -> str:
    """How configs name the strides of a dense head: as an argument of the head, or of what generates its priors."""
    names = {name for cls in type(head).__mro__ for name in inspect.signature(cls.__init__).parameters}
    generators = [name for name in ('anchor_generator', 'prior_generator', 'point_generator') if name in names]
    plain = [name for name in ('point_strides', 'strides') if name in names]
    return f'{generators[0]}.strides' if generators else plain[0] if plain else 'prior_generator.strides'


def _configured(model: nn.Module):
    for name in ('rpn_head', 'bbox_head', 'mask_head'):
        head = getattr(model, name, None)
        generator = getattr(head, 'prior_generator', None)
        if generator is not None and hasattr(generator, 'strides'):
            strides = tuple(pair[0] if isinstance(pair, (tuple, list)) else pair for pair in generator.strides)
            yield f'{name}.{_key(head)}', strides
    for name in ('bbox_roi_extractor', 'mask_roi_extractor'):
        extractors = getattr(getattr(model, 'roi_head', None), name, None)
        for extractor in extractors if isinstance(extractors, nn.ModuleList) else [extractors]:
            if hasattr(extractor, 'featmap_strides'):
                yield f'roi_head.{name}.featmap_strides', tuple(extractor.featmap_strides)
    # A stock FPN head may take other strides to upsample less.
    head = getattr(model, 'decode_head', None)
    if getattr(head, 'true_strides', False):
        yield 'decode_head.feature_strides', tuple(head.feature_strides)


def check_strides(model: nn.Module) -> None:
    """Refuse a model whose anchors, points, RoI extractors or spiking FPN head take its maps for maps of other strides.

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
