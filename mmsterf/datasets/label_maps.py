"""Label maps of semantic segmentation, checked when they are read."""

from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from mmsterf.errors import InvalidInput
from mmsterf.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CheckLabelMap(BaseTransform):
    """Refuse label maps of another size than their image, with values that are no class, with channels or 16 bits.

    mmseg's own errors come much later (a loss on a device, a metric), or not at all. Stands right behind
    `LoadAnnotations`, in training and in testing. Where nothing loaded labels (mmseg's inference) it does nothing.

    Args:
        num_classes (int): Number of classes.
        ignore_index (int): Value of pixels without a class.

    Looked at, where they are there: gt_seg_map, ori_shape, seg_map_path, img_path, reduce_zero_label.

    Raises:
        InvalidInput: Names the file, what was found and what is valid, as the file has it (before `reduce_zero_label`).

    Example:
        >>> dict(type='mmsterf.CheckLabelMap', num_classes=150)
    """

    def __init__(self, num_classes: int, ignore_index: int = 255) -> None:
        self.num_classes = num_classes
        self.ignore_index = ignore_index

    def transform(self, results: dict) -> dict:
        """Return `results` as they are, or raise."""
        labels, file = results.get('gt_seg_map'), results.get('seg_map_path') or '(an array)'
        if labels is None:  # mmseg's inference takes LoadAnnotations out of pipelines, and this step not
            return results
        if labels.ndim < 2:  # mmseg takes sides of one pixel away
            raise InvalidInput(f'label map {file} is one pixel wide or high: it must be of the size of its image')
        if labels.ndim != 2:
            raise InvalidInput(
                f'label map {file} has {labels.shape[-1]} channels: a label map has one, with the number of the class'
            )
        if Path(file).is_file():
            mode = Image.open(file).mode
            # mmseg takes their lowest byte.
            if mode.startswith(('I', 'F')):
                raise InvalidInput(f'label map {file} has more than 8 bits per pixel (mode {mode}): it must have 8')
        if 'ori_shape' in results and labels.shape != tuple(results['ori_shape']):
            image = results.get('img_path') or '(an array)'
            raise InvalidInput(
                f'label map {file} has shape {labels.shape}, but its image {image} is of '
                f'(height, width) {tuple(results["ori_shape"])}: they must be the same'
            )
        found = np.flatnonzero(np.bincount(labels.ravel()))
        wrong = found[(found >= self.num_classes) & (found != self.ignore_index)]
        if len(wrong):
            first = int(bool(results.get('reduce_zero_label')))
            ignored = f'0 or {self.ignore_index}' if first else self.ignore_index
            raise InvalidInput(
                f'label map {file} has values {(wrong + first).tolist()}; valid are {first} to '
                f'{self.num_classes - 1 + first} ({self.num_classes} classes), and {ignored} for pixels to ignore'
            )
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_classes={self.num_classes}, ignore_index={self.ignore_index})'
