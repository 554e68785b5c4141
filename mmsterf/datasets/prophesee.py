"""Box labels beside recordings, in Prophesee's layout, as annotations in COCO's format."""

import os
from collections import Counter
from pathlib import Path

from tqdm import tqdm

from mmsterf.errors import InvalidInput
from mmsterf.events import SUFFIXES, open_recording
from mmsterf.events.labels import DataSet, Labels, described, read_boxes, to_coco

ENDING = '_bbox.npy'


def annotations(folder: Path, data_set: DataSet, spacing: int = 0) -> tuple[dict, str]:
    """Read the labels of one split, NAME_bbox.npy beside NAME_td.dat (or another recording of that name).

    Args:
        folder: Of the split; folders in it are gone through.
        data_set: Classes, rules and sensor; recordings that say their sensor have theirs.
        spacing: Least distance of the time stamps taken, microseconds; 0 takes all.

    Returns:
        tuple: What belongs into the JSON file, and a line that says how much it is.

    Raises:
        InvalidInput: If there are no label files, one has no recording, or no box is left.
    """
    labels = sorted(folder.rglob(f'*{ENDING}'))
    if not labels:
        raise InvalidInput(f'{folder}: holds no *{ENDING}')
    with tqdm(labels, desc=folder.name, unit='file', dynamic_ncols=True) as bar:
        found = [_labels(path, folder, data_set.sensor) for path in bar]
    content, counts = to_coco(found, data_set.classes, data_set.protocol, spacing)
    if not counts['boxes']:
        raise InvalidInput(f'{folder}: no boxes are left: {described(counts, data_set.protocol)}')
    each = Counter(annotation['category_id'] for annotation in content['annotations'])
    names = ', '.join(f'{entry["name"]} {each[entry["id"]]}' for entry in content['categories'])
    return content, f'{len(found)} recordings, {described(counts, data_set.protocol)} ({names})'


def _labels(path: Path, folder: Path, sensor: tuple) -> Labels:
    """Labels of a file, and the recording that they are of."""
    boxes, stem = read_boxes(str(path)), path.name[: -len(ENDING)]
    names = [f'{stem}{end}{suffix}' for suffix in SUFFIXES for end in ('_td', '')]
    recording = next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)
    if recording is None:
        raise InvalidInput(f'{path}: has no recording beside it: {stem}_td.dat (or {", ".join(SUFFIXES)})')
    events = open_recording(str(recording))
    return Labels(os.fspath(recording.relative_to(folder)), events.size or sensor, boxes, (events.first, events.last))
