"""Label maps: drawn by mmseg's visualizer, written as PNG files."""

import json
from pathlib import Path
from typing import Optional

import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer
from PIL import Image

from mmsterf.erf import replace_file

from .pictures import below, enlarged, font_size, lines_of, repeated, zoom_of

ALPHA = 0.6
"""How much of a picture is the classes' colours."""


def draw_labels(
    image: np.ndarray,
    labels: np.ndarray,
    classes,
    palette,
    zoom: int,
    rows: Optional[int] = None,
    text_size: Optional[int] = None,
) -> np.ndarray:
    """Draw a label map over its image, with the classes and their share of the pixels below.

    Args:
        image (np.ndarray): (H, W, 3), RGB.
        labels (np.ndarray): (H, W); what is no class (255) stays as the image is.
        classes (Sequence[str]): Names.
        palette (Sequence[tuple]): RGB colours.
        zoom (int): Of the picture.
        rows (int, optional): Rows of text; as many as needed by default.
        text_size (int, optional): In pixels; by the size of the picture by default.
    """
    picture = enlarged(image, zoom)
    large = repeated(labels, zoom)
    visualizer = SegLocalVisualizer('labels', classes=list(classes), palette=list(palette), alpha=ALPHA)
    visualizer.dataset_meta = {'classes': list(classes), 'palette': list(palette)}
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.from_numpy(large[None].astype(np.int64))))
    visualizer.add_datasample('picture', picture, sample, draw_pred=False, with_labels=False)
    drawn = np.where((large < len(classes))[..., None], visualizer.get_image(), picture)
    visualizer.close()
    counts = np.bincount(labels.ravel(), minlength=len(classes))[: len(classes)] / labels.size
    order = [i for i in np.argsort(-counts, kind='stable') if counts[i]]
    entries = [(palette[i], f'{classes[i]}: {_percent(counts[i])}') for i in order]
    return below(drawn, lines_of(entries, drawn.shape[1], text_size or font_size(*drawn.shape[:2]), rows, most=6))


def _percent(share: float) -> str:
    return f'{100 * share:.0f} %' if share >= 0.01 else '< 1 %'


class Results:
    """Writes label maps as they come, and classes.json at the end.

    A label map has the index of a class in each pixel, as MMSegInferencer returns it.

    Args:
        predictor (Predictor): Whose classes to use.
        folder (Path): Where to write.
        score (float): Not used: each pixel has a class.
    """

    def __init__(self, predictor, folder: Path, score: float) -> None:
        self.predictor, self.folder = predictor, folder
        self.pixels = np.zeros(len(predictor.classes), np.int64)

    def add(self, item, sample: SegDataSample) -> np.ndarray:
        """Take the predictions for an item; returns its picture, RGB."""
        labels = self._labels(sample)
        replace_file(self.folder / 'label_maps' / f'{item.name}.png', Image.fromarray(labels).save)
        self.pixels += np.bincount(labels.ravel(), minlength=len(self.pixels))
        return self.draw(item, sample)

    def _labels(self, sample: SegDataSample) -> np.ndarray:
        labels = sample.pred_sem_seg.data[0].numpy()
        return labels.astype(np.uint8 if len(self.predictor.classes) <= 256 else np.uint16)

    def draw(self, item, sample: SegDataSample) -> np.ndarray:
        """The picture of an item, RGB, with its label map over it."""
        labels = self._labels(sample)
        return draw_labels(
            np.ascontiguousarray(item.image[..., ::-1]),
            labels,
            self.predictor.classes,
            self.predictor.palette,
            zoom_of(*labels.shape),
            rows=None if item.frame is None else 2,
        )

    def write(self) -> str:
        """Write classes.json; returns a line about what was found."""
        text = json.dumps({'classes': self.predictor.classes, 'palette': self.predictor.palette}, indent=1) + '\n'
        replace_file(self.folder / 'classes.json', lambda part: part.write_text(text))
        total = max(1, self.pixels.sum())
        shares = [
            f'{self.predictor.classes[i]}: {_percent(self.pixels[i] / total)}'
            for i in np.argsort(-self.pixels, kind='stable')[:6]
            if self.pixels[i]
        ]
        more = ', ...' if np.count_nonzero(self.pixels) > len(shares) else ''
        return f'pixels: {", ".join(shares)}{more}'
