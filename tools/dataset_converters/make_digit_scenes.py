"""Make the demo data: scenes of real handwriting on textured backgrounds, laid out as COCO and as ADE20K.

    OUT/coco/annotations/instances_{train,val}2017.json   boxes and exact masks (RLE), categories '0'..'9'
    OUT/coco/{train,val}2017/*.jpg
    OUT/ade/images/{training,validation}/*.jpg            the same pictures (hard links where possible)
    OUT/ade/annotations/{training,validation}/*.png       label maps: 1 background, 2..11 digits 0..9
    OUT/meta.json                                         the settings it was made with

With --task far the class of a digit is not what it reads, but the colour of a mark `--distance` pixels away: categories
and labels are 'red' and 'blue' then, and who does not look that far can only guess.

With --task cls each picture has one digit, for pretraining, and lies in the folder of its class, as ImageNet's do:

    OUT/cls/{train,val}/{0..9}/*.jpg

Training pictures lie anywhere between light strokes on a dark ground and what scenes look like; validation pictures
look like scenes.

With `reduce_zero_label=True`, as ADE20K has it, the labels become 0 background, 1..10 digits. Nothing is downloaded:
the handwriting comes with scikit-learn. With the same versions of NumPy, OpenCV and scikit-learn, the same settings
give the same bytes.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

import cv2

from mmsterf.datasets.digit_files import make_dataset
from mmsterf.datasets.digit_preview import draw_preview
from mmsterf.datasets.scene_settings import DIRECTIONS, TASKS, SceneSettings
from mmsterf.engine import arguments, command_line
from mmsterf.engine.outputs import check_new_file, check_writable

CLS = {'size': (40, 40), 'scale': (24, 38), 'digits': (1, 1)}
"""Settings of --task cls unless others are given: digits that fill small pictures, which take little time."""


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; the result has ``counts`` and ``settings`` beside the plain arguments."""
    default = SceneSettings()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def add(name: str, help: str, default, metavar=None, type=int) -> None:
        shown = ' '.join(map(str, default)) if isinstance(default, tuple) else str(default).removesuffix('.0')
        nargs = len(default) if isinstance(default, tuple) else None
        parser.add_argument(
            name, help=f'{help} (default {shown})', default=default, nargs=nargs, metavar=metavar, type=type
        )

    add('--out', 'folder to make', Path('data/digit_scenes'), type=lambda text: Path(arguments.file_name(text)))
    add('--train', 'number of training scenes', 3200, 'N', arguments.count)
    add('--val', 'number of validation scenes', 120, 'N', arguments.count)
    add('--size', 'height and width of the scenes, pixels', default.size, ('H', 'W'), arguments.whole(1, 4096))
    add(
        '--digits',
        'digits per scene; fewer where no more find room',
        default.digits,
        ('MIN', 'MAX'),
        arguments.whole(0, 1000),
    )
    add('--scale', 'height of the digits, pixels', default.scale, ('MIN', 'MAX'), arguments.whole(1, 4096))
    add('--rotate', 'largest rotation either way, degrees', default.rotate, 'DEG', arguments.number())
    parser.add_argument(
        '--task', choices=TASKS, default=default.task, help='what decides the class of a digit (default digits)'
    )
    parser.add_argument(
        '--distance',
        type=arguments.whole(1, 4096),
        metavar='N',
        help='from a digit to its mark with --task far, pixels (default half of the shorter side)',
    )
    add('--mark-radius', 'of the marks of --task far, pixels', default.mark_radius, 'N', arguments.whole(1, 4096))
    parser.add_argument(
        '--direction', choices=DIRECTIONS, default=default.direction, help='of marks, from their digits (default both)'
    )
    parser.add_argument('--plain', action='store_true', help='grounds of one colour each, without textures')
    parser.add_argument('--one-class', action='store_true', help="one class for all, 'digit', instead of ten")
    add('--seed', 'another seed, other scenes', 0, 'N', arguments.seed)
    parser.add_argument('--force', action='store_true', help='replace scenes made before')
    parser.add_argument('--preview', type=Path, metavar='FILE.png', help='also draw some scenes with their annotations')
    args = parser.parse_args(argv)

    if args.preview and args.preview.suffix.lower() not in ('.png', '.jpg'):
        parser.error(f'--preview is {args.preview}: must end in .png or .jpg')
    if args.task == 'far':
        args.distance = args.distance or min(args.size) // 2
        args.digits = (1, 1) if args.digits == default.digits else args.digits
    if args.task == 'cls':
        for name, value in CLS.items():
            if getattr(args, name) == getattr(default, name):
                setattr(args, name, value)
    try:
        args.settings = SceneSettings(
            tuple(args.size), tuple(args.digits), tuple(args.scale), args.rotate, args.task, args.distance,
            args.mark_radius, args.direction, args.plain, args.one_class,
        )  # fmt: skip
    except ValueError as error:
        parser.error(f'--{error}')
    args.counts = {'train': args.train, 'val': args.val}
    return args


@command_line('no scenes; earlier ones are as they were')
def main(argv: list[str] | None = None) -> None:
    """Run the command line; ends with status 1 and one sentence on what cannot be done."""
    args = parse_args(argv)
    cv2.setNumThreads(1)  # the pictures are too small to gain from more
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that it tidies up
    start = time.perf_counter()
    check_writable('--out', args.out)
    if args.preview:
        check_new_file('--preview', args.preview, args.force)
    made = make_dataset(args.out, args.counts, args.seed, args.settings, args.force)
    took = f'made in {time.perf_counter() - start:.1f} s' if made else 'are there already, with the same settings'
    print(f'{args.out}: {args.train} + {args.val} digit scenes (training + validation) {took}')
    if args.preview:
        draw_preview(args.out, args.preview)
        print(f'{args.preview}: preview')


if __name__ == '__main__':
    main()
