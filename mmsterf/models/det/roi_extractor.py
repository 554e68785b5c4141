"""RoI extraction over time."""

from typing import Optional

import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from torch import Tensor

from mmsterf.ranges import check_count
from mmsterf.registry import MODELS


@MODELS.register_module()
class SpikingRoIExtractor(SingleRoIExtractor):
    """mmdet's single-level RoI extractor on maps that hold T time steps: every RoI is taken from each step.

    Name both extractors of a RoI head: one that is shared picks mask features by RoI alone.

    Args:
        *args: As mmdet's SingleRoIExtractor.
        time_steps (int): Number of time steps T folded into the batch.
        **kwargs: As mmdet's SingleRoIExtractor.

    Shape:
        Maps of (T*N, C, H_i, W_i) and RoIs of (R, 5) to (T*R, C, h, w), time-major.
    """

    def __init__(self, *args, time_steps: int = 1, **kwargs) -> None:
        check_count(f'time_steps of {type(self).__name__}', time_steps)
        super().__init__(*args, **kwargs)
        self.time_steps = time_steps

    def forward(self, feats: tuple, rois: Tensor, roi_scale_factor: Optional[float] = None) -> Tensor:
        first = torch.arange(self.time_steps, device=rois.device) * (feats[0].shape[0] // self.time_steps)
        index = (first[:, None] + rois[:, 0]).reshape(-1, 1)
        rois = torch.cat([index, rois[:, 1:].repeat(self.time_steps, 1)], dim=1)
        return super().forward(feats, rois, roi_scale_factor)
