"""Pictures as inputs of an analysis."""

from collections.abc import Callable, Iterator, Sequence
from typing import Optional

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from mmsterf.engine.inputs import Pictures


class PreparedPictures(Sequence):
    """Pictures as inputs of an analysis: (C, H, W), or (T, C, H, W) for frames of a video that follow each other.

    Args:
        pictures: Where they come from.
        prepare: Turns an image (H, W, 3), blue first, into what the model takes, (C, H, W).
        size: (H, W) to resize to; default the size that `prepare` gives the first.
        notes: What a reader has to know of `prepare`.
    """

    def __init__(
        self,
        pictures: Pictures,
        prepare: Callable[[np.ndarray], Tensor],
        size: Optional[tuple[int, int]] = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.pictures, self.prepare, self.size, self.notes = pictures, prepare, size and tuple(size), list(notes)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, i: int) -> Tensor:
        _, images = self.pictures[i]
        tensors = []
        for image in images:
            tensor = self.prepare(image)
            self.size = self.size or tuple(tensor.shape[-2:])
            if tuple(tensor.shape[-2:]) != self.size:
                tensor = F.interpolate(tensor[None], self.size, mode='bilinear', antialias=True, align_corners=False)[0]
            tensors.append(tensor)
        return torch.stack(tensors) if len(tensors) > 1 else tensors[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def said(self) -> list[str]:
        """What a user has to know of what was read so far, a sentence each."""
        return [*self.notes, *self.pictures.said()]


def normalised(mean: Sequence[float], std: Sequence[float], channels: int = 3) -> Callable[[np.ndarray], Tensor]:
    """Return a function that makes (C, H, W) of an image (H, W, 3), blue first: RGB, or grey for one channel.

    Args:
        mean, std: Of images of 0 to 255; one value, or one per channel.
        channels: 3, or 1 for grey.
    """
    mean, std = (torch.tensor(v, dtype=torch.float32).reshape(-1, 1, 1) for v in (mean, std))

    def prepare(image: np.ndarray) -> Tensor:
        rgb = torch.from_numpy(np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1))).float()
        if channels == 1:
            rgb = grey_of(rgb)
            return (rgb - mean.mean(0, keepdim=True)) / std.mean(0, keepdim=True)
        return (rgb - mean) / std

    return prepare


def grey_of(rgb: Tensor) -> Tensor:
    """Luminance (1, H, W) of (3, H, W), as OpenCV has it."""
    return (rgb.float() * rgb.new_tensor([0.299, 0.587, 0.114], dtype=torch.float32)[:, None, None]).sum(
        0, keepdim=True
    )
