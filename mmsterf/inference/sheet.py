"""A sheet of training pictures as they leave the pipeline: augmented, with boxes, masks, label maps or classes."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from mmsterf.engine.data import check_labels_when_read, name_files_of
from mmsterf.engine.dataset_parts import dataset_leaves
from mmsterf.errors import InvalidInput
from mmsterf.events.drawing import coloured

from .pictures import below, colours, enlarged, lines_of, zoom_of

CELL = 480
"""Side of a picture in a sheet, in pixels; a line of text is below it."""
LINE, GAP = 24, 8


def training_set(cfg: Config, split: str = 'train'):
    """Build the data set of a split, which names files that it cannot read and labels that are wrong."""
    loader = cfg[f'{split}_dataloader']
    check_labels_when_read(cfg)
    if cfg.default_scope == 'mmdet':
        for leaf in dataset_leaves(loader.dataset):
            leaf.pipeline = _labels_first(leaf.get('pipeline') or [])
    name_files_of(loader)
    init_default_scope(cfg.default_scope)
    dataset = DATASETS.build(loader.dataset)
    if hasattr(dataset, 'full_init'):
        dataset.full_init()
    if not len(dataset):
        raise InvalidInput(f'the data set of {split}_dataloader is empty')
    return dataset


def _labels_first(pipeline: Sequence[dict]) -> list:
    """A pipeline whose labels are resized with the image: stock test pipelines load them behind, for evaluation."""
    kinds = [str(step.get('type')).rpartition('.')[2] for step in pipeline]
    steps = list(pipeline)
    for at, kind in enumerate(kinds):
        if kind == 'LoadAnnotations' and any('Resize' in earlier for earlier in kinds[:at]):
            steps.insert(1, steps.pop(at))
    return steps


def drawn(
    dataset, scope: str, num: int, event_step: Optional[dict] = None, palette: Optional[Sequence] = None
) -> Iterator[np.ndarray]:
    """Pictures of `num` items, evenly spread over a data set, each `CELL` pixels large with its file below.

    Args:
        dataset: What `training_set` returns.
        scope (str): 'mmdet', 'mmseg' or 'mmpretrain'.
        num (int): How many.
        event_step (dict, optional): How its pipeline loads events, if it does.
        palette (Sequence, optional): RGB colours of the classes; ones that everybody tells apart by default.
    """
    meta = dataset.metainfo
    classes = [str(name) for name in meta.get('classes') or ()]
    palette = colours(len(classes), palette)
    for index in (i * len(dataset) // num for i in range(num)):
        item = dataset[index]
        inputs, sample = item['inputs'], item['data_samples']
        if event_step:
            maps = np.asarray(inputs, np.float32).reshape(-1, *inputs.shape[-2:])
            image = np.ascontiguousarray(coloured(maps, bool(event_step.get('signed')))[..., ::-1])
        else:
            image = to_picture(inputs)
        picture = _DRAW[scope](image, sample, classes, palette)
        name = Path(getattr(sample, 'img_path', None) or str(index)).name
        height, width = image.shape[:2]
        yield cell(picture, f'{name}, {width} x {height}')


def to_picture(inputs: torch.Tensor) -> np.ndarray:
    """What a pipeline gives a model, (C, H, W), as a picture (H, W, 3), RGB.

    Other than 3 channels are averaged; what are no pixels (normalised in the pipeline) is spread over 0 to 255.
    """
    inputs = torch.as_tensor(inputs)
    inputs = inputs.reshape(-1, *inputs.shape[-2:])
    if len(inputs) != 3:
        inputs = inputs.float().mean(0, keepdim=True).expand(3, -1, -1)
    if inputs.dtype != torch.uint8:
        inputs = inputs.float()
        if inputs.min() < 0 or inputs.max() > 255 or inputs.max() <= 1:
            inputs = (inputs - inputs.min()) / (inputs.max() - inputs.min()).clamp(min=1e-12) * 255
        inputs = inputs.round().to(torch.uint8)
    return np.ascontiguousarray(inputs.permute(1, 2, 0).flip(-1).numpy())


def sheet(cells: Sequence[np.ndarray]) -> np.ndarray:
    """Cells of one size side by side, about as wide as high, on white."""
    columns = math.ceil(math.sqrt(len(cells)))
    rows = math.ceil(len(cells) / columns)
    height, width = (side + GAP for side in cells[0].shape[:2])
    picture = np.full((rows * height + GAP, columns * width + GAP, 3), 255, np.uint8)
    for i, cell in enumerate(cells):
        top, left = i // columns * height + GAP, i % columns * width + GAP
        picture[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
    return picture


def cell(picture: np.ndarray, text: str, side: int = CELL) -> np.ndarray:
    """A picture, made smaller if need be, in the middle of a square of `side` pixels, with a line of text below."""
    scale = side / max(picture.shape[:2])
    size = [max(1, min(side, round(length * scale))) for length in picture.shape[1::-1]]
    if scale < 1:
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    square = np.full((side, side, 3), 240, np.uint8)
    top, left = ((side - length) // 2 for length in picture.shape[:2])
    square[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return below(square, lines_of([(None, text)], side, LINE * 10 // 16, rows=1))


def _text_size(image: np.ndarray, zoom: int) -> int:
    """So that text is 15 pixels high in the cell."""
    return max(15, round(15 * zoom * max(image.shape[:2]) / CELL))


def _detection(image: np.ndarray, sample, classes, palette) -> np.ndarray:
    from .det import draw_instances

    zoom = zoom_of(*image.shape[:2], CELL)
    return draw_instances(image, sample.gt_instances, classes, palette, zoom, _text_size(image, zoom))


def _segmentation(image: np.ndarray, sample, classes, palette) -> np.ndarray:
    from .seg import draw_labels

    zoom = zoom_of(*image.shape[:2], CELL)
    labels = np.asarray(sample.gt_sem_seg.data)[0]
    if labels.shape != image.shape[:2]:  # loaded behind what resizes images
        labels = cv2.resize(labels.astype(np.uint8), image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return draw_labels(image, labels.astype(np.int64), classes, palette, zoom, 2, _text_size(image, zoom))


def _classification(image: np.ndarray, sample, classes, palette) -> np.ndarray:
    picture = enlarged(image, zoom_of(*image.shape[:2], CELL))
    size = _text_size(picture, 1)
    entries = [(None, classes[i] if classes else str(i)) for i in sample.gt_label.tolist()]
    return below(picture, lines_of(entries, picture.shape[1], size, rows=1))


_DRAW = {'mmdet': _detection, 'mmseg': _segmentation, 'mmpretrain': _classification}
