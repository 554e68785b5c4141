"""Prophesee's box labels to COCO annotations: prophesee_to_coco.py ROOT [--dataset gen1] [--help].

ROOT has folders train, val and test (or some of them) with NAME_td.dat (or another recording of that name) and
NAME_bbox.npy. Each becomes ROOT/annotations/SPLIT.json: an "image" for each labelled time stamp, with the recording,
the end of its window and the size of the sensor. What the toolbox of the data sets does not evaluate is left out; 0
turns a rule off. Configs: configs/events; metric: mmsterf.EventCocoMetric, which does the same with detections.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.datasets.prophesee import annotations
from mmsterf.engine import arguments
from mmsterf.engine.outputs import check_new_file
from mmsterf.erf.files import replace_file
from mmsterf.errors import InvalidInput, command_line
from mmsterf.events.labels import DATA_SETS, DataSet, class_numbers

SPLITS = ('train', 'val', 'test')


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
    given = {'skip': args.skip, 'tolerance': args.tolerance}
    given = {key: round(1e6 * value) for key, value in given.items() if value is not None}
    given |= {key: getattr(args, key) for key in ('min_diagonal', 'min_side') if getattr(args, key) is not None}
    data_set = DataSet(
        args.sensor or data_set.sensor,
        class_numbers(args.classes) if args.classes else data_set.classes,
        data_set.protocol._replace(**given),
    )
    root = Path(args.root)
    splits = args.splits or [split for split in SPLITS if (root / split).is_dir()]
    if not splits or not all((root / split).is_dir() for split in splits):
        lacking = next((split for split in splits if not (root / split).is_dir()), ' nor '.join(SPLITS))
        raise InvalidInput(f'{root}: has no folder {lacking}; recordings and label files are looked for there')
    files = {split: Path(args.out or root / 'annotations') / f'{split}.json' for split in splits}
    for file in files.values():
        check_new_file('--out', file, args.force)
    for split, file in files.items():
        content, line = annotations(root / split, data_set, round(1e6 * args.spacing))
        replace_file(file, lambda part, content=content: part.write_text(json.dumps(content)))
        print(f'{file}: {line}')


if __name__ == '__main__':
    main()
