"""Prophesee's box labels to COCO annotations: prophesee_to_coco.py ROOT [--dataset gen1] [--help].

ROOT has folders train, val and test (or some of them) with NAME_td.dat (or another recording of that name) and
NAME_bbox.npy. Each becomes ROOT/annotations/SPLIT.json: an "image" for each labelled time stamp, with the recording,
the end of its window and the size of the sensor. What the toolbox of the data sets does not evaluate is left out; 0
turns a rule off. Configs: configs/events; metric: mmsterf.EventCocoMetric, which does the same with detections.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from tqdm import tqdm

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.engine import arguments
from mmsterf.engine.outputs import check_new_file
from mmsterf.erf.files import replace_file
from mmsterf.errors import InvalidInput, command_line
from mmsterf.events import SUFFIXES, open_recording
from mmsterf.events.labels import DATA_SETS, Labels, class_numbers, described, read_boxes, to_coco

SPLITS = ('train', 'val', 'test')
ENDING = '_bbox.npy'


def parse(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    seconds = arguments.number(0, 1000)
    add('root', type=arguments.file_name, help='folder of the splits')
    add('--dataset', choices=tuple(DATA_SETS), default='gen1', help='whose classes and rules (default gen1)')
    add('--splits', nargs='+', choices=SPLITS, help='which ones (default: those that are there)')
    add('--out', type=arguments.file_name, help='folder of the JSON files (default: ROOT/annotations)')
    add('--classes', nargs='+', metavar='NAME', help='names of the classes 0, 1, ... of the label files')
    add('--sensor', type=arguments.side, nargs=2, metavar=('H', 'W'), help='of recordings that do not say it')
    add('--skip', type=seconds, help='boxes until then are left out, seconds (default 0.5)')
    add('--min-diagonal', type=arguments.number(0), help='of boxes, pixels (default 30; 1mpx 60)')
    add('--min-side', type=arguments.number(0), help='of boxes, pixels (default 10; 1mpx 20)')
    add('--tolerance', type=seconds, help='from a label to a detection that counts, seconds (default 0.05)')
    add('--spacing', type=seconds, default=0, help='least distance of the time stamps taken, seconds (default 0: all)')
    add('--force', action='store_true', help='overwrite JSON files')
    return parser.parse_args(argv)


@command_line()
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line."""
    args = parse(argv)
    data_set = DATA_SETS[args.dataset]
    classes = class_numbers(args.classes) if args.classes else data_set.classes
    given = {'skip': args.skip, 'tolerance': args.tolerance}
    given = {key: round(1e6 * value) for key, value in given.items() if value is not None}
    given |= {key: getattr(args, key) for key in ('min_diagonal', 'min_side') if getattr(args, key) is not None}
    protocol = data_set.protocol._replace(**given)
    root = Path(args.root)
    splits = args.splits or [split for split in SPLITS if (root / split).is_dir()]
    if not splits or not all((root / split).is_dir() for split in splits):
        lacking = next((split for split in splits if not (root / split).is_dir()), ' nor '.join(SPLITS))
        raise InvalidInput(f'{root}: has no folder {lacking}; recordings and label files are looked for there')
    files = {split: Path(args.out or root / 'annotations') / f'{split}.json' for split in splits}
    for file in files.values():
        check_new_file('--out', file, args.force)
    for split, file in files.items():
        labels = sorted((root / split).rglob(f'*{ENDING}'))
        if not labels:
            raise InvalidInput(f'{root / split}: holds no *{ENDING}')
        with tqdm(labels, desc=split, unit='file', dynamic_ncols=True) as bar:
            found = [_labels(path, root / split, args.sensor or data_set.sensor) for path in bar]
        content, counts = to_coco(found, classes, protocol, round(1e6 * args.spacing))
        if not counts['boxes']:
            raise InvalidInput(f'{root / split}: no boxes are left: {described(counts, protocol)}')
        replace_file(file, lambda part, content=content: part.write_text(json.dumps(content)))
        each = Counter(annotation['category_id'] for annotation in content['annotations'])
        names = ', '.join(f'{entry["name"]} {each[entry["id"]]}' for entry in content['categories'])
        print(f'{file}: {len(found)} recordings, {described(counts, protocol)} ({names})')


def _labels(path: Path, folder: Path, sensor: tuple) -> Labels:
    """Labels of a file, and the recording that they are of."""
    boxes, stem = read_boxes(str(path)), path.name[: -len(ENDING)]
    names = [f'{stem}{end}{suffix}' for suffix in SUFFIXES for end in ('_td', '')]
    recording = next((path.with_name(name) for name in names if path.with_name(name).is_file()), None)
    if recording is None:
        raise InvalidInput(f'{path}: has no recording beside it: {stem}_td.dat (or {", ".join(SUFFIXES)})')
    events = open_recording(str(recording))
    return Labels(os.fspath(recording.relative_to(folder)), events.size or sensor, boxes, (events.first, events.last))


if __name__ == '__main__':
    main()
