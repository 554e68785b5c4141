"""Stock transforms of mmcv, mmdet and mmseg on windows of events, whose channels hold time."""

import cv2
import numpy as np
from event_files import SIZE

STEPS = 4
CHANNELS = 2 * STEPS


def stock_steps():
    """Task, step and arguments of stock transforms that act on all steps alike, and of those that do not."""
    from mmcv import transforms as mmcv
    from mmdet.datasets import transforms as mmdet
    from mmseg.datasets import transforms as mmseg

    zeros, holes = (0,) * CHANNELS, dict(n_holes=2, cutout_shape=(4, 4))
    scale, crop, both = dict(scale=(50, 40), keep_ratio=True), dict(crop_size=(16, 16)), dict(scale=(50, 40))
    alike = [
        ('det', mmdet.Resize, scale),
        ('det', mmdet.FixShapeResize, dict(width=50, height=40)),
        ('det', mmdet.RandomFlip, dict(prob=1.0)),
        ('det', mmdet.RandomFlip, dict(prob=1.0, direction='diagonal')),
        ('det', mmdet.RandomCrop, crop),
        ('det', mmdet.MinIoURandomCrop, {}),
        ('det', mmdet.RandomCenterCropPad, dict(crop, ratios=(1.0,), mean=zeros, std=(1,) * CHANNELS, to_rgb=False,
                                                test_pad_mode=None)),
        ('det', mmdet.RandomShift, dict(prob=1.0)),
        ('det', mmdet.RandomAffine, dict(border_val=(0, 0, 0))),
        ('det', mmdet.Rotate, dict(prob=1.0, img_border_value=0)),
        ('det', mmdet.RandomErasing, dict(n_patches=2, ratio=0.3)),
        ('det', mmdet.CutOut, dict(holes, fill_in=zeros)),
        ('det', mmdet.Expand, dict(prob=1.0, mean=zeros)),
        ('det', mmcv.RandomResize, dict(both, ratio_range=(0.5, 2.0), resize_type=mmdet.Resize)),
        ('det', mmcv.RandomChoiceResize, dict(scales=[(50, 40), (40, 30)], resize_type=mmdet.Resize)),
        ('seg', mmseg.Resize, scale),
        ('seg', mmseg.ResizeToMultiple, dict(size_divisor=16)),
        ('seg', mmseg.ResizeShortestEdge, dict(scale=20, max_size=60)),
        ('seg', mmcv.RandomResize, dict(both, ratio_range=(0.5, 2.0), resize_type=mmseg.Resize)),
        ('seg', mmcv.RandomFlip, dict(prob=1.0)),
        ('seg', mmcv.CenterCrop, crop),
        ('seg', mmseg.RandomCrop, crop),
        ('seg', mmseg.RandomRotate, dict(prob=1.0, degree=20)),
        ('seg', mmseg.RandomRotFlip, dict(rotate_prob=1.0, flip_prob=0.0)),
        ('seg', mmseg.RandomCutOut, dict(holes, prob=1.0, fill_in=zeros)),
        ('seg', mmseg.RandomMosaic, dict(prob=1.0, img_scale=SIZE)),
    ]  # fmt: skip
    others = [
        ('det', mmdet.Pad, dict(size=(40, 40))),  # OpenCV pads four channels at most
        ('seg', mmcv.Pad, dict(size=(40, 40))),
        ('det', mmdet.Mosaic, dict(img_scale=SIZE, prob=1.0)),  # three channels by name
        ('det', mmdet.MixUp, dict(img_scale=SIZE)),
        ('det', mmdet.PhotoMetricDistortion, {}),  # colours
        ('seg', mmseg.PhotoMetricDistortion, {}),
        ('det', mmdet.YOLOXHSVRandomAug, {}),
        ('det', mmdet.Color, dict(prob=1.0)),
        ('seg', mmcv.RandomGrayscale, dict(prob=1.0)),
        ('seg', mmcv.Normalize, dict(mean=[1.0] * 3, std=[2.0] * 3)),
        ('seg', mmseg.CLAHE, {}),
        ('det', mmdet.RandomAffine, {}),  # a border of three colours
        ('det', mmdet.Rotate, dict(prob=1.0)),
        ('det', mmdet.ShearX, dict(prob=1.0)),
        ('det', mmdet.TranslateX, dict(prob=1.0)),
        ('seg', mmseg.Rerange, {}),  # by the largest value of all
    ]
    return alike, others


def one_step(task, step, kwargs, part):
    """The image that a stock transform makes of a part of the channels."""
    import random

    from mmdet.structures.bbox import HorizontalBoxes

    def results():
        made = dict(img=np.ascontiguousarray(part), img_shape=SIZE, ori_shape=SIZE, img_path='a.dat', img_id=1)
        if task == 'det':
            return made | dict(gt_bboxes=HorizontalBoxes(np.array([[2, 2, 20, 20]], np.float32)),
                               gt_bboxes_labels=np.zeros(1, int), gt_ignore_flags=np.zeros(1, bool))  # fmt: skip
        return made | dict(gt_seg_map=np.zeros(SIZE, np.uint8), seg_fields=['gt_seg_map'])

    mixed = {'Mosaic': 3, 'RandomMosaic': 3, 'MixUp': 1}.get(step.__name__)
    given = results() | (dict(mix_results=[results() for _ in range(mixed)]) if mixed else {})
    kwargs = {key: value[: part.shape[-1]] if key in ('mean', 'std', 'fill_in') else value for key, value in
              kwargs.items()}  # fmt: skip
    np.random.seed(3)
    random.seed(3)
    return step(**kwargs)(given)['img']


def test_stock_steps_act_on_all_steps_alike():
    image = np.random.default_rng(0).random((*SIZE, CHANNELS)).astype(np.float32) * 5
    alike, others = stock_steps()
    for task, step, kwargs in alike:
        whole = one_step(task, step, kwargs, image)
        parts = [one_step(task, step, kwargs, image[..., 2 * i : 2 * i + 2]) for i in range(STEPS)]
        assert whole.shape[-1] == CHANNELS and np.array_equal(whole, np.concatenate(parts, 2)), step
    for task, step, kwargs in others:
        try:
            whole = one_step(task, step, kwargs, image)
        except (cv2.error, ValueError, AssertionError):
            continue
        parts = [one_step(task, step, kwargs, image[..., 2 * i : 2 * i + 2]) for i in range(STEPS)]
        assert not np.array_equal(whole, np.concatenate(parts, 2)), step
