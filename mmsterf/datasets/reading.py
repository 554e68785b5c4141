"""Loading steps that say in one sentence which file they could not read, also out of a data loader's process."""

import os
from typing import Optional

from mmcv.transforms import BaseTransform
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS

from mmsterf.errors import InvalidInput, shortened
from mmsterf.registry import TRANSFORMS

from .check_images import image_error


@TRANSFORMS.register_module()
class ReadFile(BaseTransform):
    """A step that loads an image or its annotations; files that it cannot read are refused by name.

    Args:
        step (dict): Config of the step, `LoadImageFromFile` or `LoadAnnotations` of mmcv, mmdet or mmseg.

    Raises:
        InvalidInput: If the step fails on a file that is missing or damaged, or if the image is of another size than
            its annotations say, so that boxes and masks would not fit. Other errors of the step stay as they are.

    Example:
        >>> dict(type='mmsterf.ReadFile', step=dict(type='LoadImageFromFile'))
    """

    def __init__(self, step: dict) -> None:
        self.step = MMENGINE_TRANSFORMS.build(step)

    def transform(self, results: dict) -> Optional[dict]:
        """Results of the step."""
        stated = results.get('width'), results.get('height')
        loads_image = 'img' not in results
        key = 'img_path' if loads_image else 'seg_map_path'
        path = results.get(key)
        try:
            results = self.step(results)
        except Exception as error:
            problem = _problem(path)
            what = 'image' if loads_image else 'label map'
            if problem is None and not loads_image and _is_file(path):  # a single pixel, for one, loses its axes
                problem = f'cannot be used as one ({type(error).__name__}: {shortened(str(error), 200)})'
            if problem is None:
                raise
            raise InvalidInput(f'{what} {path} {problem}') from error
        if results is not None and loads_image and None not in stated and 'instances' in results:
            height, width = results['ori_shape']
            if (width, height) != stated:
                turned = '; is it stored turned (EXIF)?' if (height, width) == stated else ''
                raise InvalidInput(
                    f'image {path} is of {width} x {height}, but its annotations say width {stated[0]} and height '
                    f'{stated[1]}: boxes and masks would not fit{turned}'
                )
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.step!r})'


def _is_file(path) -> bool:
    return isinstance(path, (str, os.PathLike)) and '://' not in str(path)


def _problem(path) -> Optional[str]:
    if not _is_file(path):
        return None
    return 'is not there' if not os.path.exists(path) else image_error(str(path))
