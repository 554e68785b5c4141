"""Write a config for a folder of own pictures: init_config.py DATA --task det|seg|cls [--help].

Detection: COCO, YOLO, Pascal VOC, labelme and VIA annotations. Segmentation: folders of label maps, grey, palette or
colours. Classification: a folder of images for each class. DATA is not changed; what has to be made (a split, COCO
files, label maps) goes to a new folder beside it.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from mmsterf.engine import arguments, check_versions, command_line


@command_line()
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Look at the data, tell what is in them, and write the config."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'data', metavar='DATA', type=arguments.file_name, help='folder, or a COCO, VIA or data.yaml file'
    )
    parser.add_argument(
        '--task', required=True, choices=['det', 'seg', 'cls'], help='detection, segmentation or classification'
    )
    parser.add_argument('--model', default='sdt_mlpixer_tiny', help='one of the shipped models (default: %(default)s)')
    parser.add_argument(
        '--out', type=arguments.file_name, default='my_config.py', help='the config (default: %(default)s)'
    )
    parser.add_argument(
        '--data-out', type=arguments.file_name, help='folder of new files, DATA_mmsterf beside DATA by default'
    )
    parser.add_argument('--classes', type=_names, help='NAME,NAME,...: of label maps, in the order of their values')
    parser.add_argument(
        '--ignore', type=_names, default=(), help='VALUE,...: of label maps that are no class; colours as #rrggbb'
    )
    parser.add_argument(
        '--pretrained', type=arguments.file_name, help='weights to begin from: of a backbone or a whole model'
    )
    parser.add_argument('--size', type=arguments.whole(32, 4096), help='longest side of images in training')
    parser.add_argument('--iters', type=arguments.count, help='iterations of training')
    parser.add_argument(
        '--boxes', action='store_true', help='learn boxes only, which is faster, also where there are masks'
    )
    parser.add_argument('--seed', type=arguments.seed, default=0, help='of the split, where there is none')
    parser.add_argument('--quick', action='store_true', help='do not read every image and label map')
    parser.add_argument('--force', action='store_true', help='overwrite files')
    args = parser.parse_args(argv)
    check_versions()
    from mmsterf.owndata.making import make_config

    make_config(
        args.data,
        args.task,
        model=args.model,
        out=args.out,
        new=args.data_out,
        classes=args.classes,
        ignore=args.ignore,
        pretrained=args.pretrained,
        size=args.size,
        iters=args.iters,
        boxes=args.boxes,
        seed=args.seed,
        force=args.force,
        whole=not args.quick,
    )


def _names(text: str) -> list:
    names = [name.strip() for name in text.split(',')]
    if not all(names):
        raise argparse.ArgumentTypeError(f'must be names with commas between them, got {text!r}')
    return names


if __name__ == '__main__':
    main()
