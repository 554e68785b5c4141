"""Boxes of event recordings as Prophesee's data sets have them (`NAME_bbox.npy`), and as COCO annotations."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Optional

import numpy as np

from mmsterf.errors import InvalidInput

BOX = np.dtype([('t', '<i8'), ('x', '<f4'), ('y', '<f4'), ('w', '<f4'), ('h', '<f4'), ('class_id', '<i8'),
                ('track_id', '<i8')])  # fmt: skip
"""A box: microseconds, upper left corner and size in pixels, number of its class and of its object."""
NAMES = {'ts': 't'}
"""Fields of older files, and their names today."""


class Protocol(NamedTuple):
    """What is evaluated, as the toolbox of Prophesee's data sets does (Perot et al., NeurIPS 2020).

    Attributes:
        skip: Boxes until then are left out, microseconds from 0.
        min_diagonal: Smaller boxes are left out, of truth and of detections; pixels of the sensor.
        min_side: Likewise, by width and by height.
        tolerance: A detection counts for all labelled time stamps as near as this, microseconds.
    """

    skip: int = 500_000
    min_diagonal: float = 30
    min_side: float = 10
    tolerance: int = 50_000

    def large(self, width: np.ndarray, height: np.ndarray) -> np.ndarray:
        """Which boxes are large enough, from their widths and heights."""
        width, height = np.asarray(width, np.float64), np.asarray(height, np.float64)
        sides = (width >= self.min_side) & (height >= self.min_side)
        return sides & (width**2 + height**2 >= self.min_diagonal**2)


class DataSet(NamedTuple):
    """Height and width of the sensor, classes by their numbers in label files, and the protocol of a data set."""

    sensor: tuple
    classes: dict
    protocol: Protocol


DATA_SETS = {
    'gen1': DataSet((240, 304), {0: 'car', 1: 'pedestrian'}, Protocol()),
    '1mpx': DataSet((720, 1280), {0: 'pedestrian', 1: 'two wheeler', 2: 'car'}, Protocol(min_diagonal=60, min_side=20)),
}
"""Gen1 automotive detection, and 1 Megapixel automotive detection, of whose seven classes three are evaluated."""


class Labels(NamedTuple):
    """Boxes of a recording.

    Attributes:
        file_name: The recording, as COCO files name it.
        size: Height and width of its sensor.
        boxes: (N,) of `BOX`.
        span: First and last time stamp of its events.
    """

    file_name: str
    size: tuple
    boxes: np.ndarray
    span: tuple


def read_boxes(path: str) -> np.ndarray:
    """Read a label file, of today's fields (`t`) or of older ones (`ts`).

    Returns:
        np.ndarray: (N,) of `BOX`, in order of time.

    Raises:
        InvalidInput: If it cannot be read, lacks a field, or has boxes that are none.
    """
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InvalidInput(f'{path}: no array that can be read ({error})') from error
    fields = {NAMES.get(name, name): name for name in found.dtype.names or ()}
    needed = [name for name in BOX.names if name != 'track_id']
    if found.ndim != 1 or any(name not in fields for name in needed):
        has = ', '.join(found.dtype.names or ()) or f'none (an array of {found.dtype} and shape {found.shape})'
        raise InvalidInput(f'{path}: boxes need the fields {", ".join(needed)} (t may be named ts); it has {has}')
    boxes = np.zeros(len(found), BOX)
    for name in BOX.names:
        if name in fields:
            values = found[fields[name]]
            if values.dtype.kind not in ('iuf' if name in 'xywh' else 'iu'):
                raise InvalidInput(f'{path}: {fields[name]} is {values.dtype}, and must be numbers')
            boxes[name] = values
    bad = ~np.all([np.isfinite(boxes[name]) for name in 'xywh'], 0) | (boxes['w'] < 0) | (boxes['h'] < 0)
    if bad.any():
        first = int(bad.argmax())
        shown = ', '.join(f'{name} {boxes[name][first]:g}' for name in 'xywh')
        raise InvalidInput(
            f'{path}: {int(bad.sum())} of {len(boxes)} boxes are none, number {first} first ({shown}); x, y, w and h '
            'must be finite, w and h not below 0'
        )
    return boxes[np.argsort(boxes['t'], kind='stable')]


def to_coco(
    recordings: Iterable[Labels], classes: dict, protocol: Optional[Protocol] = None, spacing: int = 0
) -> tuple[dict, Counter]:
    """Labels as a COCO annotation file with an "image" for each labelled time stamp, the end of its window.

    Args:
        recordings: See `Labels`.
        classes: Numbers of the classes that are taken, and their names.
        protocol: Boxes that it leaves out are left out; it is written to `info.protocol`, where
            `mmsterf.EventCocoMetric` finds what to do with detections. None takes all.
        spacing: Least distance of the time stamps that are taken of a recording, microseconds.

    Returns:
        tuple: The content of the file; and numbers: `images`, `boxes`, and boxes left out (`early`, `small`, `class`,
        `outside`: of time stamps outside the recording; `spacing`).
    """
    order = sorted(classes)
    category = {number: index + 1 for index, number in enumerate(order)}
    images, annotations, counts = [], [], Counter()
    for labels in recordings:
        boxes = _taken(labels, classes, protocol, counts)
        last = None
        for time in np.unique(boxes['t']):
            now = boxes[boxes['t'] == time]
            if last is not None and time - last < spacing:
                counts['spacing'] += len(now)
                continue
            last = time
            image = {'id': len(images) + 1, 'file_name': labels.file_name, 'event_end': int(time)}
            image['height'], image['width'] = (int(side) for side in labels.size)
            images.append(image)
            for box in now:
                x, y, w, h = (float(box[name]) for name in 'xywh')
                annotation = {'id': len(annotations) + 1, 'image_id': image['id'], 'bbox': [x, y, w, h], 'area': w * h}
                annotation |= {'category_id': category[int(box['class_id'])], 'track_id': int(box['track_id'])}
                annotations.append({**annotation, 'iscrowd': 0})
    counts['images'], counts['boxes'] = len(images), len(annotations)
    info = {'description': 'boxes of event recordings', 'spacing': spacing}
    if protocol is not None:
        info['protocol'] = protocol._asdict()
    categories = [{'id': category[number], 'name': classes[number]} for number in order]
    return dict(info=info, licenses=[], images=images, annotations=annotations, categories=categories), counts


def _taken(labels: Labels, classes: dict, protocol: Optional[Protocol], counts: Counter) -> np.ndarray:
    boxes, (first, last) = labels.boxes, labels.span
    late = protocol.tolerance if protocol else 0
    rules = [('class', np.isin(boxes['class_id'], list(classes)))]
    if protocol:
        rules += [('early', boxes['t'] > protocol.skip), ('small', protocol.large(boxes['w'], boxes['h']))]
    rules.append(('outside', (boxes['t'] > first) & (boxes['t'] <= last + late)))
    left = np.ones(len(boxes), bool)
    for name, rule in rules:
        counts[name] += int((left & ~rule).sum())
        left &= rule
    return boxes[left]


def described(counts: Counter, protocol: Optional[Protocol]) -> str:
    """What `to_coco` took and left out, in a line."""
    least = f'a diagonal under {protocol.min_diagonal:g} or a side under {protocol.min_side:g}' if protocol else ''
    reasons = {
        'class': 'of other classes',
        'early': f'until {protocol.skip / 1e6:g} s' if protocol else '',
        'small': f'with {least} pixels',
        'outside': 'before or after the events of their recordings',
        'spacing': 'at time stamps too near to the one before',
    }
    left = [f'{counts[name]} {reason}' for name, reason in reasons.items() if counts[name]]
    return f'{counts["images"]} time stamps, {counts["boxes"]} boxes' + f'; left out: {", ".join(left)}' * bool(left)


def class_numbers(names: Sequence[str]) -> dict:
    """Classes numbered from 0, as label files of one's own have them."""
    return dict(enumerate(names))
