"""Masks of COCO files: polygons and run-length codes, checked before pycocotools gets them.

pycocotools trusts what it is given: a code of 10^6 x 10^6 pixels, or runs that do not add up, end in a segmentation
fault.
"""

from typing import Optional

import numpy as np

from .findings import short

_FORMS = (
    'valid are polygons [[x1, y1, x2, y2, x3, y3, ...], ...] and run-length codes {"size": [height, width], '
    '"counts": ...}'
)


def mask_error(mask, width: float, height: float) -> Optional[str]:
    """What is wrong with a mask that no reader takes, as a clause, or None."""
    if isinstance(mask, dict):
        return _code_error(mask, width, height)
    if not isinstance(mask, list):
        return f'segmentation is {short(mask)}; {_FORMS}'
    for polygon in mask:
        if not isinstance(polygon, list):
            return f'segmentation is {short(mask)}, not a list of polygons; {_FORMS}'
        try:
            total, low, high = sum(polygon), min(polygon, default=0), max(polygon, default=0)
        except (TypeError, OverflowError):
            total = float('nan')
        side = max(width, height)
        # Drawing a polygon takes memory by its length, so one that is far outside takes all of it.
        if not -float('inf') < total < float('inf') or low < -side or high > 2 * side:
            return (
                f'segmentation has a polygon {short(polygon)} with coordinates that are no finite numbers in or near '
                f'the image of {width} x {height}'
            )
    return None


def broken_polygons(mask) -> int:
    """How many polygons of a mask mmdet skips: those with fewer than three points, or half a point."""
    return sum(len(polygon) < 6 or len(polygon) % 2 for polygon in mask) if isinstance(mask, list) else 0


def run_lengths(counts: str) -> Optional[np.ndarray]:
    """Decode the counts of a compressed run-length code, (runs,) int64; None if they are none.

    Each number is written in groups of five bits, lowest first, the sixth bit says that another group follows, and
    from the fourth number on it is the difference to the one before the last (COCO API, maskApi.c).
    """
    try:
        groups = np.frombuffer(counts.encode('ascii'), np.uint8).astype(np.int64) - 48
    except UnicodeEncodeError:
        return None
    last = groups & 0x20 == 0
    if not groups.size or groups.min() < 0 or groups.max() > 63 or not last[-1]:
        return None
    starts = np.flatnonzero(np.r_[True, last[:-1]])
    lengths = np.diff(np.r_[starts, groups.size])
    if lengths.max() > 12:
        return None
    within = np.arange(groups.size) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((groups & 0x1F) << (5 * within), starts)
    negative = groups[starts + lengths - 1] & 0x10 != 0
    numbers = np.where(negative, numbers - (1 << (5 * lengths)), numbers)
    runs = numbers.copy()
    for first in (1, 2):
        runs[first::2] = np.cumsum(numbers[first::2])
    return runs


def _code_error(mask: dict, width: float, height: float) -> Optional[str]:
    size, counts = mask.get('size'), mask.get('counts')
    if 'size' not in mask or 'counts' not in mask:
        return f'segmentation has the keys {sorted(map(str, mask))}; {_FORMS}'
    if not isinstance(size, list) or list(size) != [height, width]:
        swapped = ' (the two are swapped)' if size == [width, height] else ''
        return (
            f"segmentation has the size {short(size)}, but the image's [height, width] is [{height}, {width}]{swapped}"
        )
    if isinstance(counts, str):
        runs = run_lengths(counts)
        if runs is None:
            return f'segmentation has counts {short(counts)}, which are no compressed run-length code'
    elif isinstance(counts, list):
        if not all(isinstance(run, (int, float)) and 0 <= run <= 2**40 and run == int(run) for run in counts):
            return f'segmentation has counts {short(counts)}; valid are numbers of pixels'
        runs = np.array(counts, np.int64)
    else:
        return f'segmentation has counts {short(counts)}; valid are a list of numbers of pixels, or a compressed code'
    if (runs.size and runs.min() < 0) or runs.sum() != width * height:
        return (
            f'segmentation has counts that add up to {int(runs.sum())} pixels, but the image of {width} x {height} has '
            f'{int(width * height)}'
        )
    return None
