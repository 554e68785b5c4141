"""Image scale, anchors, length of training and load, from the statistics of the data and of the machine."""

import math
import os
from dataclasses import dataclass, field

import numpy as np

from .found import Found

SIDE = {'cpu': {'det': 320, 'seg': 320, 'cls': 128}, 'gpu': {'det': 1333, 'seg': 1024, 'cls': 224}}
"""Longest side of an image in training, unless `--size` says otherwise."""
BATCH = {'cpu': {'det': 2, 'seg': 4, 'cls': 16}, 'gpu': {'det': 4, 'seg': 8, 'cls': 64}}
SEEN = {'det': 5600, 'seg': 2400, 'cls': 4000}
"""How many images are shown in training from nothing on 40 of them; more images are shown more, by the square root."""


@dataclass
class Plan:
    """Numbers of a config."""

    machine: str
    scale: tuple
    batch: int
    workers: int
    max_iters: int
    warmup: int
    val_interval: int
    log_interval: int
    passes: float
    anchor_scale: float = 8
    ratios: list = field(default_factory=lambda: [0.5, 1.0, 2.0])
    finest: int = 56
    small: float = 0.0


def make_plan(found: Found, pretrained: bool, size=None, iters=None) -> Plan:
    """Choose the numbers.

    Args:
        found (Found): The data.
        pretrained (bool): Whether weights are given: half the length will do.
        size (int, optional): Longest side of an image in training.
        iters (int, optional): Iterations of training.
    """
    import torch

    machine = 'gpu' if torch.cuda.is_available() else 'cpu'
    images = found.counts['train']
    batch = max(min(2, images), min(BATCH[machine][found.task], images // 4 if found.task != 'cls' else images // 2))
    seen = SEEN[found.task] * math.sqrt(max(images, 4) / 40) * (0.5 if pretrained else 1)
    # Not fewer than 12 epochs, COCO's 1x.
    max_iters = iters or math.ceil(max(seen, 12 * images) / batch)
    log = max(1, min(50, max_iters // 20))
    plan = Plan(
        machine,
        _scale(found, size or SIDE[machine][found.task]),
        batch,
        max(0, min(4, (os.cpu_count() or 1) - 1, images // batch)),
        max_iters,
        warmup=max(1, min(1000, max_iters // 20)),
        val_interval=max(1, math.ceil(max_iters / 5)),
        log_interval=log,
        passes=max_iters * batch / images,
    )
    if found.boxes:
        _anchors(found, plan)
    return plan


def _scale(found: Found, most: int) -> tuple:
    """(width, height) of the median image, its longer side at most `most`; whole multiples of 16."""
    longest = float(np.median([max(size) for size in found.sizes]))
    shortest = float(np.median([min(size) for size in found.sizes]))
    factor = min(1.0, most / longest)
    if found.task == 'det' and most == SIDE['gpu']['det']:
        factor = min(1333 / longest, 800 / shortest)
    long, short = (max(32, 16 * round(side * factor / 16)) for side in (longest, shortest))
    if found.task == 'det' and most < SIDE['gpu']['det']:
        return (long, long)
    if found.task == 'cls':
        return (short, short) if short < most else (most, most)
    wide = sum(w >= h for w, h in found.sizes) * 2 >= len(found.sizes)
    # mmdet takes the longer and the shorter side of a scale whatever their order; mmseg's crops do not.
    return (long, short) if wide or found.task == 'det' else (short, long)


def _anchors(found: Found, plan: Plan) -> None:
    """Sizes of anchors, in ratios 1 to 16 over the levels, such that the largest objects have one of their size."""
    side = max(plan.scale)
    sizes = np.array([math.sqrt(w * h) * side / longest for w, h, longest in found.boxes])
    plan.anchor_scale = round(float(np.clip(np.quantile(sizes, 0.98) / 80, 1, 8)), 1)
    ratios = np.quantile([h / w for w, h, _ in found.boxes], (0.15, 0.5, 0.85)).clip(0.2, 5)
    if ratios[1] / ratios[0] > 1.2 and ratios[2] / ratios[1] > 1.2:
        plan.ratios = [round(float(ratio), 1) for ratio in ratios]
    plan.finest = 56 if side >= 640 else 28
    plan.small = float((sizes < 8).mean())
