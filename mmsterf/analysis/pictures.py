"""Pictures as a model of OpenMMLab sees them: resized as in testing, then through its data preprocessor."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Optional
from unittest import mock

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from mmsterf.engine.dataset_parts import dataset_leaves
from mmsterf.engine.inputs import Pictures
from mmsterf.erf.pictures import PreparedPictures, grey_of

_RESIZING = ('CenterCrop', 'FixScaleResize', 'FixShapeResize', 'Pad', 'RandomCenterCropPad', 'Resize', 'ResizeEdge',
             'ResizeShortestEdge', 'ResizeToMultiple')  # fmt: skip
_IMAGENET = {'mean': [123.675, 116.28, 103.53], 'std': [58.395, 57.12, 57.375], 'bgr_to_rgb': True}


def prepared(
    cfg: Config, model: nn.Module, pictures: Pictures, size: Optional[tuple[int, int]] = None
) -> PreparedPictures:
    """Return pictures as the model of a config sees them in testing.

    They are resized as the test pipeline does, or to `size`; then the model's data preprocessor takes over (means,
    standard deviations, order of colours, padding). A model without one gets what the config's `data_preprocessor`
    says, or ImageNet's means and standard deviations, and a note.
    """
    resize = None if size else _resizing(cfg)
    preprocessor, notes = preprocessor_of(cfg, model)
    grey = _channels(preprocessor) == 1
    track = type(preprocessor).__name__ == 'TrackDataPreprocessor'

    def prepare(image: np.ndarray) -> Tensor:
        image = resize(image) if resize else image
        tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        if grey:
            tensor = grey_of(tensor.flip(0))
        colours = mock.patch.object(preprocessor, '_channel_conversion', False, create=True) if grey else nullcontext()
        with torch.no_grad(), colours:  # grey has none to put in another order
            # some look into the data samples, others only for None
            data = (
                {'inputs': [tensor[None]], 'data_samples': None}
                if track
                else {'inputs': [tensor], 'data_samples': [BaseDataElement()]}
            )
            inputs = preprocessor(data, training=False)['inputs']
        inputs = inputs[0] if isinstance(inputs, (list, tuple)) else inputs
        return inputs.reshape(inputs.shape[-3:])

    return PreparedPictures(pictures, prepare, size, notes)


def preprocessor_of(cfg: Config, model: nn.Module) -> tuple[nn.Module, list[str]]:
    """Return what normalises images for a model, and what has to be said about it."""
    for module in model.modules():
        found = getattr(module, 'data_preprocessor', None)
        if isinstance(found, nn.Module) and type(found).__name__ != 'BaseDataPreprocessor':
            return found, []
    stated = cfg.get('data_preprocessor')
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        if isinstance(stated, dict) and stated.get('type') and stated.get('mean') is not None:
            return MODELS.build(stated).to(next(model.parameters()).device), []
        found = MODELS.build({'type': 'mmengine.ImgDataPreprocessor', **_IMAGENET})
    note = (
        f'the {type(model).__name__} has no data_preprocessor: images are normalised by those of ImageNet '
        f'(RGB, mean {_IMAGENET["mean"]}, std {_IMAGENET["std"]})'
    )
    return found.to(next(model.parameters()).device), [note]


def _channels(preprocessor: nn.Module) -> int:
    mean = getattr(getattr(preprocessor, 'data_preprocessor', preprocessor), 'mean', None)
    return mean.numel() if isinstance(mean, Tensor) else 3


def _resizing(cfg: Config) -> Optional[Callable[[np.ndarray], np.ndarray]]:
    """What the test pipeline does to the size of an image."""
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader')
    if not loader or not loader.get('dataset'):
        return None
    steps = list(_resizing_steps(next(iter(dataset_leaves(loader['dataset']))).get('pipeline') or ()))
    if not steps:
        return None
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        pipeline = Compose(steps)
    kind = np.float32 if 'RandomCenterCropPad' in str(steps) else np.uint8  # it insists on it
    return lambda image: pipeline(loaded('', image.astype(kind)))['img']


def _resizing_steps(steps) -> Iterator[dict]:
    for step in steps if isinstance(steps, (list, tuple)) else [steps]:
        kind = str(step.get('type', '')).rpartition('.')[2]
        if kind == 'TransformBroadcaster':
            yield from _resizing_steps(step.get('transforms') or ())
        elif kind in _RESIZING:
            yield step


def loaded(path: str, image: np.ndarray) -> dict:
    """What `LoadImageFromFile` hands on to the other steps of a pipeline."""
    shape = image.shape[:2]
    return {'img': image, 'img_shape': shape, 'ori_shape': shape, 'img_path': path, 'img_id': 0, 'seg_fields': [],
            'scale_factor': (1.0, 1.0)}  # fmt: skip
