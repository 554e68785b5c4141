"""Label maps of a set, looked at together: classes that never occur, and whether 0 is meant as mmseg takes it."""

from collections.abc import Sequence
from typing import Optional

import numpy as np
from PIL import Image

from mmsterf.errors import InvalidInput

from .check_images import image_error
from .findings import Report, listed
from .label_maps import CheckLabelMap

_FEW = 20  # classes; of more, many are in none of a sample


class LabelMaps:
    """Counts the values of label maps as `LoadAnnotations` of mmseg reads them.

    Args:
        classes (sequence[str]): Names of the classes, in order.
        ignore_index (int): Value of pixels without a class.
        reduce_zero_label (bool): Whether 0 is no class, and the others count from 1.
        label_map (dict, optional): Old to new classes, of a data set with some of its classes.
    """

    def __init__(
        self, classes: Sequence, ignore_index: int = 255, reduce_zero_label: bool = False, label_map=None
    ) -> None:
        self.classes, self.reduced = list(classes), bool(reduce_zero_label)
        self.check = CheckLabelMap(len(self.classes), ignore_index)
        table = np.arange(256, dtype=np.uint8)
        if self.reduced:
            table = np.where((table == 0) | (table == 255), 255, table - 1).astype(np.uint8)
        self.table = table.copy()
        for old, new in (label_map or {}).items():
            self.table[table == old] = new
        self.raw, self.files = np.zeros(256, np.int64), []

    def read(self, path: str, size: Optional[tuple] = None, image: str = '') -> Optional[str]:
        """Count one file; returns what is wrong with it, as a sentence.

        Args:
            path (str): The label map.
            size (tuple, optional): (width, height) that it must have.
            image (str): Whose size that is.
        """
        try:
            with Image.open(path) as file:
                labels = np.asarray(file).squeeze().astype(np.uint8)
        except FileNotFoundError:
            return f'label map {path} is not there'
        except Exception:
            return f'label map {path} {image_error(path) or "cannot be decoded"}'
        results = {'gt_seg_map': self.table[labels], 'seg_map_path': path, 'reduce_zero_label': self.reduced}
        if size is not None:
            results.update(ori_shape=(size[1], size[0]), img_path=image)
        counts = np.bincount(labels.ravel(), minlength=256)
        try:
            self.check.transform(results)
        except InvalidInput as error:
            hint = ''
            if not self.reduced and 'has values' in str(error) and not counts[0] and counts[len(self.classes)]:
                hint = '; 0 does not occur in it: if classes count from 1 here, set reduce_zero_label=True'
            return f'{error}{hint}'
        self.raw += counts
        self.files.append(path)
        return None

    def counts(self) -> dict:
        """Names of classes to numbers of pixels."""
        found = np.bincount(self.table, self.raw, 256).astype(int)
        return {name: int(found[index]) for index, name in enumerate(self.classes)}

    def judge(self, report: Report, total: int) -> None:
        """Warn of classes that no file has.

        Args:
            report (Report): Gets the warnings.
            total (int): Number of label maps of the set, of which some were read.
        """
        if not self.files or (len(self.files) < total and len(self.classes) > _FEW):
            return
        absent = [name for name, count in self.counts().items() if not count]
        if not absent:
            return
        which = f'none of {len(self.files)} label maps' if len(self.files) == total else (
            f'none of the {len(self.files)} label maps that were read, of {total},'
        )  # fmt: skip
        values = listed(np.flatnonzero(self.raw))
        text = (
            f'{which} has a pixel of {len(absent)} of {len(self.classes)} classes, {listed(absent)}: '
            f'their values are {values} ({self.files[0]} first)'
        )
        report.warning('class without pixels', f'{text}{self._hint(absent)}')

    def _hint(self, absent: list) -> str:
        last = len(self.classes) - 1
        if self.reduced and self.raw[0] and self.classes[-1] in absent:
            return (
                f'; reduce_zero_label=True leaves 0 out and takes 1 for {self.classes[0]}: if 0 is {self.classes[0]} '
                f'here, and {last} is {self.classes[-1]}, set reduce_zero_label=False'
            )
        if not self.reduced and not self.raw[0] and self.classes[0] in absent:
            return (
                f'; 0 would be {self.classes[0]}, and does not occur: if classes count from 1 here, set '
                'reduce_zero_label=True'
            )
        if not self.reduced and self.raw[255] and not self.raw[1 : last + 1].any():
            return f'; 255 is no class but pixels to ignore: the classes are written as 0 to {last}'
        return ''
