"""What the ST-ERF hook and command line share: run a detector's or segmentor's features, and feed it images."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Optional

import torch
import torch.nn.functional as F
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn

from mmsterf.erf.running import Unavailable, failed
from mmsterf.errors import InvalidInput


def run_features(model: nn.Module, x: Tensor) -> None:
    """Run what images go through without annotations: `extract_feat` (backbone and neck), or the model itself."""
    if getattr(model, 'asymetric_input', False):  # SAN: its image encoder sees a smaller image
        x = F.interpolate(x, scale_factor=model.encoder_resolution, mode='bilinear')
    with explained(model, x, 'choose layers in front of it (--layers), or another --device'):
        model.extract_feat(x) if hasattr(model, 'extract_feat') else model(x)


@contextmanager
def explained(model: nn.Module, x: Tensor, without: str = 'another --device may have it') -> Iterator[None]:
    """Say in a sentence what a stock model does not do, and which operator of mmcv is not there for the device.

    Args:
        model, x: What is run inside, on what.
        without: How to go on without an operator.

    Raises:
        InvalidInput: In place of what the model's code raises.
    """
    try:
        yield
    except Exception as error:
        text = str(error)
        if 'selected index k out of range' in text:
            raise InvalidInput('the image has fewer places than the heads pick: a larger --size is needed') from error
        if found := re.search(r'(\w+?)(_impl)?: implementation for device (\w+).* not found', text):
            device = found[3].removesuffix(':0')
            raise Unavailable(f'mmcv has no operator {found[1]} for the device {device}: {without}') from error
        if failure := failed(model, x, error, 'another --size, or trained weights in place of random ones, may do'):
            raise failure from error
        raise


def default_layers(model: nn.Module, time_steps: int = 1) -> list[str]:
    """Return the layers to look at: what the backbone returns, or, with time, its maps before they are averaged."""
    from mmsterf.models.backbones.base import SpikingBackbone  # hooks must not need models to be imported

    names = ('backbone', 'image_encoder')
    prefix = next((n for n in names if isinstance(getattr(model, n, None), nn.Module)), '')
    backbone = getattr(model, prefix) if prefix else model
    if time_steps > 1 and isinstance(backbone, SpikingBackbone):
        names = {module: name for name, module in model.named_modules()}
        stages = backbone._stages()
        return [names[stages[i][-1]] for i in backbone.out_indices]
    return [f'{prefix or "."}:*']


class Images(Sequence):
    """Images (C, H, W), or sequences (T, C, H, W), as the model sees them in testing.

    They come through a data set's pipeline and the model's data preprocessor.

    Args:
        items: A data set, or any sequence of ``dict(inputs=..., data_samples=...)``.
        preprocessor: The model's `data_preprocessor`.
        num: How many, from the front; fewer if there are fewer.
        size: (H, W) to resize to; default the size of the first image.
    """

    def __init__(self, items: Sequence, preprocessor: nn.Module, num: int, size: Optional[tuple[int, int]]) -> None:
        if not len(items):
            raise ValueError('the data set is empty')
        self.items, self.preprocessor, self.num, self.size = items, preprocessor, min(num, len(items)), size

    def __len__(self) -> int:
        return self.num

    def __getitem__(self, i: int) -> Tensor:
        if not 0 <= i < self.num:
            raise IndexError(i)
        with torch.no_grad():
            image = self.preprocessor(pseudo_collate([self.items[i]]), training=False)['inputs']
        image = image[0] if isinstance(image, (list, tuple)) else image
        # One image, or one sequence (T, 1, C, H, W).
        image = image.reshape(-1, *image.shape[-3:])
        self.size = self.size or tuple(image.shape[-2:])
        if tuple(image.shape[-2:]) != tuple(self.size):
            image = F.interpolate(image, self.size, mode='bilinear', antialias=True, align_corners=False)
        return image if len(image) > 1 else image[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(self.num))
