"""Images of all kinds as a model takes them in testing, one pass each."""

import sys
from collections.abc import Callable
from typing import NamedTuple, Optional

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import DATASETS, DefaultScope
from torch import nn

from mmsterf.engine.dataset_parts import dataset_leaves
from mmsterf.engine.inputs import Pictures

from .features import run_features
from .pictures import loaded, prepared
from .shapes import input_shape, packed_channels, take_noise

# The image is there, and has no labels.
_NEEDLESS = ('LoadImageFromFile', 'LoadEvents', 'LoadSequence', 'LoadAnnotations', 'CheckLabelMap')


class Source(NamedTuple):
    """Which images.

    Attributes:
        names: ['noise'], ['dataset'], or images, folders, globs and videos.
        num: How many; 1 by default, of images and videos at most 20.
        size: (H, W) of all; that of the test pipeline by default, else what the model takes.
        seed: Of noise.
        device: Where a model that has no `test_step` is.
    """

    names: list[str]
    num: Optional[int] = None
    size: Optional[tuple[int, int]] = None
    seed: int = 0
    device: str = 'cpu'


def passes(cfg: Config, model: nn.Module, source: Source) -> list[Callable]:
    """One function per image, each of which runs a model on it as in testing.

    Raises:
        ValueError: If an input is not there or no image or video, or a source needs a test pipeline or data set that
            the config lacks.
    """
    pictures = None if source.names in (['noise'], ['dataset']) else Pictures(source.names, source.num or 20)
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader')
    if loader and hasattr(model, 'test_step'):
        return _tested(cfg, model, source, pictures, loader)
    if source.names == ['dataset']:
        raise ValueError(f'{cfg.filename} has no test_dataloader or no detector or segmentor: use --input noise')
    shape = input_shape(cfg, model, lambda m, x: m(x), size=source.size, input_time='image')
    if pictures:
        inputs = prepared(cfg, model, pictures, shape.size)
        images = [inputs[i][None] for i in range(len(inputs))]
        _tell(inputs)
    else:
        generator = torch.Generator().manual_seed(source.seed)
        images = torch.randn(source.num or 1, 1, shape.channels, *shape.size, generator=generator)
    _check(images[0].shape[-3], shape.channels, model)
    return [lambda m, x=x: m(x.to(source.device)) for x in images]


def _tested(cfg: Config, model: nn.Module, source: Source, pictures: Optional[Pictures], loader: dict) -> list:
    """The passes of a model that takes what a test pipeline packs."""
    leaf = next(iter(dataset_leaves(loader['dataset'])))
    if source.size:
        for step in leaf['pipeline']:
            if step['type'] == 'Resize':
                step.update(scale=tuple(source.size[::-1]), keep_ratio=False)
    channels = packed_channels(model, run_features)
    if source.names == ['noise']:
        take_noise(model, channels)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        if source.names == ['dataset']:
            dataset = DATASETS.build(loader['dataset'])
            items = [dataset[i] for i in range(min(source.num or 1, len(dataset)))]
        else:
            pipeline = Compose([s for s in leaf['pipeline'] if s['type'].split('.')[-1] not in _NEEDLESS])
            if pictures:
                grey = any(step.get('color_type') == 'grayscale' for step in leaf['pipeline'])
                images = [
                    (name, cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if grey else image) for name, (image,) in pictures
                ]
                _tell(pictures)
            else:
                size = (*(source.size or (224, 224)), channels)
                rng = np.random.default_rng(source.seed)
                images = [(f'noise {i}', rng.integers(0, 256, size, dtype=np.uint8)) for i in range(source.num or 1)]
            items = [pipeline(loaded(name, image)) for name, image in images]
    _check(items[0]['inputs'].shape[-3], channels, model)
    return [lambda m, item=item: m.test_step(pseudo_collate([item])) for item in items]


def runs_on(cfg: Config, model: nn.Module, source: Source, size: tuple[int, int]) -> None:
    """Run a model on noise of a size."""
    with torch.no_grad():
        passes(cfg, model, source._replace(names=['noise'], num=1, size=size))[0](model)


def _tell(pictures) -> None:
    """Print what has to be said of pictures that were read."""
    for note in pictures.said():
        print(f'warning: {note}', file=sys.stderr)


def _check(channels: int, wanted: int, model: nn.Module) -> None:
    if channels != wanted:
        raise ValueError(
            f'images have {channels} channels, and the {type(model).__name__} takes {wanted}: use --input noise'
        )
