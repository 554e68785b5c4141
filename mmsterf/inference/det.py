"""Detections: drawn by mmdet's visualizer, written in COCO's result format."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks, PolygonMasks, encode_mask_results, mask2bbox
from mmdet.visualization import DetLocalVisualizer
from mmengine.config import Config
from mmengine.structures import InstanceData

from mmsterf.engine.dataset_parts import dataset_leaves
from mmsterf.erf import replace_file

from .pictures import enlarged, font_size, place_labels, text_width, zoom_of

COCO_SKIPS = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
"""Of 1 to 90, the category ids that COCO's 80 classes do not have."""


class _Visualizer(DetLocalVisualizer):
    """mmdet's, with lines and text in proportion to the picture, clear masks, and labels apart from each other."""

    text_size = None

    def set_image(self, image: np.ndarray) -> None:
        super().set_image(image)
        self.text_size = self.text_size or font_size(*image.shape[:2])
        self.line_width = max(1.5, max(image.shape[:2]) / 500)
        self._texts = []

    def draw_texts(self, texts, positions, font_sizes=None, **options):
        # Later: places are found when all boxes are known.
        self._texts.append((texts, options.get('colors')))
        return self

    def draw_binary_masks(self, binary_masks, colors='g', alphas=0.4):
        return super().draw_binary_masks(binary_masks, colors, alphas=0.4)

    def _draw_instances(self, image, instances, classes, palette) -> np.ndarray:
        super()._draw_instances(image, instances, classes, palette)
        gap = 0.25 * self.text_size
        height = 1.2 * self.text_size + 2 * gap
        sizes = [(text_width(text, self.text_size) + 2 * gap, height) for text, _ in self._texts]
        boxes = instances.bboxes if instances.bboxes.any() else mask2bbox(torch.as_tensor(instances.masks))
        places = place_labels(boxes.tolist(), sizes, self.width, self.height)
        for (x, y), (text, colour), label in zip(places, self._texts, instances.labels.tolist()):
            edge = tuple(value / 255 for value in palette[label])
            ground = {'facecolor': 'black', 'alpha': 0.8, 'pad': 1, 'edgecolor': edge}
            # Sizes of text are in points.
            points = self.text_size * 72 / self.dpi
            middle = np.array([x + gap, min(y + height / 2, self.height - 1)])
            super().draw_texts(
                text, middle, points, colors=colour, bboxes=ground, vertical_alignments='center_baseline'
            )
        return self.get_image()


def draw_instances(
    image: np.ndarray, instances: InstanceData, classes, palette, zoom: int, text_size: Optional[int] = None
) -> np.ndarray:
    """Draw boxes, masks, classes and, where there are any, scores.

    Args:
        image (np.ndarray): (H, W, 3), RGB.
        instances (InstanceData): `bboxes` in pixels of the image, `labels`, perhaps `scores` and `masks`.
        classes (Sequence[str]): Names.
        palette (Sequence[tuple]): RGB colours.
        zoom (int): Of the picture.
        text_size (int, optional): In pixels; by the size of the picture by default.

    Returns:
        np.ndarray: (zoom * H, zoom * W, 3), RGB.
    """
    picture = enlarged(image, zoom)
    if not len(instances):
        return picture
    larger = InstanceData(labels=instances.labels)
    larger.bboxes = torch.as_tensor(getattr(instances.bboxes, 'tensor', instances.bboxes)).float() * zoom
    if 'scores' in instances:
        larger.scores = instances.scores
    masks = instances.get('masks')
    if masks is not None:
        if isinstance(masks, (BitmapMasks, PolygonMasks)):
            masks = masks.to_ndarray()
        # Of an image that is larger than its masks (padding), the part they cover.
        masks = np.asarray(masks).astype(bool)
        whole = np.zeros((len(masks), *picture.shape[:2]), bool)
        masks = masks.repeat(zoom, 1).repeat(zoom, 2)[:, : whole.shape[1], : whole.shape[2]]
        whole[:, : masks.shape[1], : masks.shape[2]] = masks
        larger.masks = whole
    visualizer = _Visualizer('instances')
    visualizer.text_size = text_size
    visualizer.dataset_meta = {'classes': tuple(classes), 'palette': [tuple(colour) for colour in palette]}
    visualizer.add_datasample('picture', picture, DetDataSample(gt_instances=larger), draw_pred=False)
    picture = visualizer.get_image()
    visualizer.close()
    return picture


class Results:
    """Collects detections and writes predictions.bbox.json, predictions.segm.json if there are masks, images.json.

    All that the model returns is written, also below the score from which it is drawn. Ids of images and categories
    are those of the config's test set where the images are its; else images are numbered from 1, and categories have
    the set's ids, COCO's for COCO's classes, or are numbered from 1. images.json names both.

    Args:
        predictor (Predictor): Whose classes and config to use.
        folder (Path): Where to write.
        score (float): From which detections are drawn and counted.
    """

    def __init__(self, predictor, folder: Path, score: float) -> None:
        self.predictor, self.folder, self.score = predictor, folder, score
        self.images, self.boxes, self.masks = [], [], []
        self.found = Counter()

    def add(self, item, sample: DetDataSample) -> np.ndarray:
        """Take the predictions for an item; returns its picture, RGB."""
        instances = sample.pred_instances
        height, width = item.image.shape[:2]
        number = len(self.images)
        self.images.append({'id': number + 1, 'file_name': str(item.path), 'width': width, 'height': height})
        if item.frame is not None:
            self.images[-1]['frame'] = item.frame
        boxes, masks = instances.bboxes.tolist(), instances.get('masks')
        scores, labels = instances.scores.tolist(), instances.labels.tolist()
        masks = [None] * len(boxes) if masks is None else encode_mask_results(masks)
        for (x1, y1, x2, y2), mask, score, label in zip(boxes, masks, scores, labels):
            found = {'image_id': number, 'category_id': label, 'score': score}
            self.boxes.append({**found, 'bbox': [x1, y1, x2 - x1, y2 - y1]})
            if mask is not None:
                self.masks.append({**found, 'segmentation': {'size': mask['size'], 'counts': mask['counts'].decode()}})
        kept = instances[instances.scores >= self.score]
        self.found.update(self.predictor.classes[label] for label in kept.labels.tolist())
        return self.draw(item, sample)

    def draw(self, item, sample: DetDataSample) -> np.ndarray:
        """The picture of an item, RGB, with what is detected."""
        instances, (height, width) = sample.pred_instances, item.image.shape[:2]
        kept = instances[instances.scores >= self.score]
        image = np.ascontiguousarray(item.image[..., ::-1])
        order = kept.scores.argsort()  # the best on top
        return draw_instances(
            image, kept[order], self.predictor.classes, self.predictor.palette, zoom_of(height, width)
        )

    def write(self) -> str:
        """Write the files; returns a line about them."""
        categories, images, source = known_ids(self.predictor.cfg, self.predictor.classes)
        ids = [images.get(os.path.realpath(image['file_name'])) for image in self.images]
        own = bool(ids) and None not in ids and len(set(ids)) == len(ids)
        for image, number in zip(self.images, ids):
            if own:
                image['id'] = number
        for found in (*self.boxes, *self.masks):
            found['image_id'] = self.images[found['image_id']]['id']
            found['category_id'] = categories[found['category_id']]
        files = {'predictions.bbox.json': self.boxes}
        if self.masks:
            files['predictions.segm.json'] = self.masks
        named = [{'id': number, 'name': name} for number, name in zip(categories, self.predictor.classes)]
        files['images.json'] = {'images': self.images, 'categories': named, 'annotations': []}
        for name, content in files.items():
            text = json.dumps(content)
            replace_file(self.folder / name, lambda part, text=text: part.write_text(text))
        counts = ', '.join(f'{number} {name}' for name, number in self.found.most_common(6))
        more = ', ...' * (len(self.found) > 6)
        line = f'{sum(self.found.values())} objects with a score of at least {self.score:g}'
        line += f': {counts}{more}' if counts else ''
        return f'{line}\nids of images {f"are those of {source}" if own else "are in images.json"}'


def known_ids(cfg: Config, classes) -> tuple:
    """Ids in the annotation file of a config's test set.

    Returns:
        tuple: Category id of each class, image ids by the real paths of their files, and the annotation file (None if
        there is none, or it has other classes).
    """
    leaf = next(dataset_leaves(cfg.test_dataloader.dataset))
    root, prefix = leaf.get('data_root') or '', leaf.get('data_prefix') or {}
    file = os.path.join(root, leaf.get('ann_file') or '')
    default = [number for number in range(1, 91) if number not in COCO_SKIPS]
    from mmdet.datasets import CocoDataset

    numbered = default if tuple(classes) == CocoDataset.METAINFO['classes'] else list(range(1, len(classes) + 1))
    try:
        content = json.loads(Path(file).read_text())
        by_name = {category['name']: category['id'] for category in content['categories']}
        folder = os.path.join(root, prefix.get('img') or prefix.get('img_path') or '')
        images = {os.path.realpath(os.path.join(folder, i['file_name'])): i['id'] for i in content['images']}
    except (OSError, ValueError, KeyError, TypeError):
        return numbered, {}, None
    if not all(name in by_name for name in classes):
        return numbered, {}, None
    return [by_name[name] for name in classes], images, file
