"""What of a model becomes a network of its own: tensors in, a flat tuple of tensors out."""

from collections.abc import Iterable, Iterator
from typing import Callable, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmsterf.errors import InvalidInput
from mmsterf.snn import fold_norms

PARTS = ('backbone', 'features', 'dense', 'model')
"""Backbone; with neck; with the head that runs on whole maps; all there is (a segmentor or classifier whole, a detector
with its RoI heads as networks of their own)."""
DENSE = {
    'rpn_head': ('TwoStageDetector',),
    'bbox_head': ('SingleStageDetector',),
    'decode_head': ('EncoderDecoder',),
    'head': ('ImageClassifier',),
}
"""Heads that take maps and nothing else, by name, and the models of which that is so."""
_ROI_HEADS = ('StandardRoIHead', 'CascadeRoIHead')
_ROI_NAMES = {'bbox': 'box', 'mask': 'mask'}


class Network(nn.Module):
    """A function of the modules of a model.

    Args:
        model (nn.Module): Whose parameters the function uses.
        function (Callable): ``function(model, x)``, to nested tuples of tensors.
        shape (tuple): Of the input (C, H, W), for one image or one region.
        steps (int): T of sequences (T, N, C, H, W); 0 where the input is (N, C, H, W).
        copies (int): How often each region comes: once for each time step.

    Shape:
        As the function's, flat.
    """

    def __init__(self, model: nn.Module, function: Callable, shape: tuple, steps: int = 0, copies: int = 1) -> None:
        super().__init__()
        self.model, self.function, self.shape, self.steps, self.copies = model, function, shape, steps, copies

    def forward(self, x: Tensor) -> tuple:
        return distinct(flat(self.function(self.model, x)))

    def example(self, number: int, size: Optional[tuple] = None) -> Tensor:
        """A random input of so many images, sequences or regions, with another (H, W) if given."""
        shape = (number * self.copies, self.shape[0], *(size or self.shape[1:]))
        return torch.randn(self.steps, *shape) if self.steps else torch.randn(shape)


def flat(value) -> Iterator[Tensor]:
    """Tensors in nested tuples and lists, in order."""
    if isinstance(value, Tensor):
        yield value
    else:
        for item in value:
            yield from flat(item)


def distinct(values: Iterable) -> tuple:
    """Tensors, those that come again as copies: OpenVINO's converter takes no output twice."""
    found = []
    for value in values:
        found.append(value + 0 if any(value is other for other in found) else value)
    return tuple(found)


def _features(model: nn.Module, x: Tensor) -> tuple:
    return model.extract_feat(x)


def prepared(model: nn.Module) -> nn.Module:
    """A copy to be exported: folded, in float32, attention as `SpikeAttention.for_runtimes` writes it."""
    model = fold_norms(model).float()
    for module in model.modules():
        if hasattr(module, 'for_runtimes'):
            module.for_runtimes()
    return model


def _is(model: nn.Module, names: tuple) -> bool:
    """Whether a model is of one of these classes, or one derived from them; their packages need not be there."""
    return any(kind.__name__ in names for kind in type(model).__mro__)


def dense_head(model: nn.Module, needed: bool = True) -> Optional[str]:
    """Name of the head that runs on whole maps; None if the model has none.

    Raises:
        InvalidInput: If it has none and it is needed.
    """
    for name, kinds in DENSE.items():
        head = getattr(model, name, None)
        if isinstance(head, nn.Module) and not isinstance(head, nn.ModuleList) and _is(model, kinds):
            return name
    if needed:
        raise InvalidInput(
            f'{type(model).__name__} has no head that takes maps alone ({", ".join(DENSE)}): export its backbone or '
            'features'
        )
    return None


def roi_heads(model: nn.Module) -> dict:
    """RoI heads of a two-stage detector, stages of a cascade each by itself.

    Returns:
        dict: By name, as 'roi_head.bbox_head.0': the head, the shape (C, h, w) of a region's features, and time steps.
    """
    roi_head = getattr(model, 'roi_head', None)
    found = {}
    if roi_head is None or not _is(roi_head, _ROI_HEADS) or getattr(roi_head, 'with_shared_head', False):
        return found
    for kind in _ROI_NAMES:
        name = f'{kind}_head'
        head, extractor = getattr(roi_head, name, None), getattr(roi_head, f'{kind}_roi_extractor', None)
        if head is None or extractor is None:
            continue
        several = isinstance(head, nn.ModuleList)
        for i, (one, its) in enumerate(zip(head, extractor) if several else [(head, extractor)]):
            side = its.roi_layers[0].output_size
            shape = (its.out_channels, *(side if isinstance(side, (tuple, list)) else (side, side)))
            key = f'roi_head.{name}.{i}' if several else f'roi_head.{name}'
            found[key] = (one, shape, getattr(its, 'time_steps', 1))
    return found


def _dense(model: nn.Module, x: Tensor) -> tuple:
    maps, name = model.extract_feat(x), dense_head(model)
    outputs = getattr(model, name)(maps)
    # RoI heads need the maps; nothing behind a segmentor or classifier does.
    return outputs if name in ('decode_head', 'head') else (maps, outputs)


def _segmentor(model: nn.Module, x: Tensor) -> Tensor:
    logits = model.decode_head(model.extract_feat(x))
    return F.interpolate(logits, x.shape[-2:], mode='bilinear', align_corners=model.align_corners)


def networks(model: nn.Module, part: str, size: tuple) -> dict:
    """Split a model into the networks that `part` names.

    Args:
        model (nn.Module): Detector, segmentor, classifier, or backbone, from `prepared`.
        part (str): One of `PARTS`.
        size (tuple[int, int]): (H, W) of images.

    Returns:
        dict: Networks by name: '' alone, or, for ``part='model'`` of a two-stage detector, also 'box' and 'mask' (of a
        cascade 'box0', 'box1', ...), which take RoI features (T*R, C, h, w) of any number of regions. RoIAlign between
        them and NMS behind stay outside.

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
    preprocessor = getattr(model, 'data_preprocessor', None)
    whole = {'shape': (channels, *size)}
    if getattr(preprocessor, 'layout', None) == 'steps':
        whole['steps'] = preprocessor.time_steps
    if part == 'backbone':
        return {'': Network(first, lambda m, x: m(x), **whole)}
    if part == 'features':
        return {'': Network(model, _features, **whole)}
    if part == 'dense':
        dense_head(model)
        return {'': Network(model, _dense, **whole)}
    name = dense_head(model)
    if name in ('decode_head', 'head'):
        return {'': Network(model, _segmentor if name == 'decode_head' else _dense, **whole)}
    found = {'': Network(model, _dense, **whole)}
    for name, (head, shape, time_steps) in roi_heads(model).items():
        kind, _, stage = name.removeprefix('roi_head.').partition('_head')
        network = Network(head, lambda m, x: m(x), shape, copies=time_steps)
        found[_ROI_NAMES[kind] + stage.replace('.', '')] = network
    return found
