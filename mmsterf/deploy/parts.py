"""What of a model becomes a network of its own: tensors in, a flat tuple of tensors out."""

from collections.abc import Iterator
from typing import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from mmsterf.errors import InvalidInput

PARTS = ('backbone', 'features', 'dense', 'model')
"""Backbone; with neck; with the heads that run on whole maps; all there is (a segmentor whole, a detector with its RoI
heads as networks of their own)."""
DENSE = ('rpn_head', 'bbox_head', 'decode_head')


class Network(nn.Module):
    """A function of the modules of a model.

    Args:
        model (nn.Module): Whose parameters the function uses.
        function (Callable): ``function(model, x)``, to nested tuples of tensors.
        shape (tuple): Of the input, for one image or one region; None where it is free.

    Shape:
        As the function's, flat.
    """

    def __init__(self, model: nn.Module, function: Callable, shape: tuple) -> None:
        super().__init__()
        self.model, self.function, self.shape = model, function, shape

    def forward(self, x: Tensor) -> tuple:
        return tuple(flat(self.function(self.model, x)))


def flat(value) -> Iterator[Tensor]:
    """Tensors in nested tuples and lists, in order."""
    if isinstance(value, Tensor):
        yield value
    else:
        for item in value:
            yield from flat(item)


def _features(model: nn.Module, x: Tensor) -> tuple:
    return model.extract_feat(x)


def dense_head(model: nn.Module) -> str:
    """Name of the head that runs on whole maps.

    Raises:
        InvalidInput: If the model has none.
    """
    for name in DENSE:
        if isinstance(getattr(model, name, None), nn.Module):
            return name
    raise InvalidInput(f'{type(model).__name__} has none of {", ".join(DENSE)}: export its backbone or features')


def _dense(model: nn.Module, x: Tensor) -> tuple:
    maps, name = model.extract_feat(x), dense_head(model)
    outputs = getattr(model, name)(maps)
    # A segmentor needs its maps no more; the RoI heads of a detector do.
    return outputs if name == 'decode_head' else (maps, outputs)


def _segmentor(model: nn.Module, x: Tensor) -> Tensor:
    logits = model.decode_head(model.extract_feat(x))
    return F.interpolate(logits, x.shape[-2:], mode='bilinear', align_corners=model.align_corners)


def networks(model: nn.Module, part: str, size: tuple) -> dict:
    """Split a model into the networks that `part` names.

    Args:
        model (nn.Module): Detector, segmentor, or backbone.
        part (str): One of `PARTS`.
        size (tuple[int, int]): (H, W) of images.

    Returns:
        dict: Networks by name: '' alone, or, for ``part='model'`` of a two-stage detector, also 'box' and 'mask', which
        take RoI features (R, C, h, w) of any number of regions. RoIAlign between them and NMS behind stay outside.

    Raises:
        InvalidInput: If the model has no such part.
    """
    if part not in PARTS:
        raise InvalidInput(f'part must be one of {", ".join(PARTS)}, got {part!r}')
    backbone = getattr(model, 'backbone', None)
    if backbone is None and part != 'backbone':
        raise InvalidInput(f'{type(model).__name__} has no backbone: export it as part backbone')
    first = model if backbone is None else backbone
    channels = next((m.in_channels for m in first.modules() if isinstance(m, nn.Conv2d)), 3)
    shape = (channels, *size)
    if part == 'backbone':
        return {'': Network(first, lambda m, x: m(x), shape)}
    if part == 'features':
        return {'': Network(model, _features, shape)}
    if part == 'dense':
        dense_head(model)
        return {'': Network(model, _dense, shape)}
    if dense_head(model) == 'decode_head':
        return {'': Network(model, _segmentor, shape)}
    found = {'': Network(model, _dense, shape)}
    roi_head = getattr(model, 'roi_head', None)
    for name in ('bbox', 'mask') if roi_head is not None else ():
        head, extractor = (getattr(roi_head, f'{name}_{kind}', None) for kind in ('head', 'roi_extractor'))
        if isinstance(head, nn.ModuleList):
            raise InvalidInput(f'roi_head.{name}_head of {type(model).__name__} is a cascade: export its dense part')
        if head is not None:
            pooled = extractor.roi_layers[0].output_size
            shape = (extractor.out_channels, *(pooled if isinstance(pooled, (tuple, list)) else (pooled, pooled)))
            found[{'bbox': 'box'}.get(name, name)] = Network(head, lambda m, x: m(x), shape)
    return found
