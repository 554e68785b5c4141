"""Make moving handwriting as an event camera sees it, laid out as Prophesee's Gen1 set, once for each class set.

    OUT/digits/{train,val}/scene_NNNN_td.dat        recordings (Prophesee's .dat)
    OUT/digits/{train,val}/scene_NNNN_bbox.npy      boxes; the class is what a digit reads
    OUT/direction/{train,val}/...                   the same recordings (hard links where possible); the class is 'left'
                                                    or 'right', whichever way a digit goes
    OUT/{digits,direction}/annotations/{train,val}.json     as prophesee_to_coco.py writes them
    OUT/meta.json                                   the settings it was made with

With --recordings FOLDER the scenes are not simulated: four recordings of FOLDER/CLASS/ (as N-MNIST has them) are placed
on the sensor, and OUT has the one class set, `digits`.

Digits are brighter or darker than their ground, at random: one picture does not tell which way they go. Training and
validation share no scan. Nothing is downloaded: the handwriting comes with scikit-learn. With the same versions of
NumPy, OpenCV and scikit-learn, the same settings give the same bytes. The camera is described in
mmsterf/events/camera.py.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

import cv2

from mmsterf.datasets.event_files import make_dataset
from mmsterf.datasets.event_scenes import EventSceneSettings
from mmsterf.engine import arguments, command_line
from mmsterf.engine.outputs import check_writable
from mmsterf.events.camera import CameraSettings


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line; the result has `counts`, `settings` and `camera` beside the plain arguments."""
    default, eye = EventSceneSettings(), CameraSettings()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)

    def add(name: str, help: str, default, metavar=None, type=int) -> None:
        shown = ' '.join(f'{v:g}' for v in default) if isinstance(default, tuple) else str(default).removesuffix('.0')
        nargs = len(default) if isinstance(default, tuple) else None
        parser.add_argument(
            name, help=f'{help} (default {shown})', default=default, nargs=nargs, metavar=metavar, type=type
        )

    both, number = ('MIN', 'MAX'), arguments.number()
    add('--out', 'folder to make', Path('data/event_scenes'), type=lambda text: Path(arguments.file_name(text)))
    add('--train', 'number of training recordings', 200, 'N', arguments.count)
    add('--val', 'number of validation recordings', 40, 'N', arguments.count)
    add('--size', 'height and width of the sensor, pixels', default.size, ('H', 'W'), arguments.whole(1, 4096))
    add('--digits', 'digits in a recording; fewer where rows do not suffice', default.digits, both, arguments.count)
    add('--scale', 'height of the digits, pixels', default.scale, both, arguments.whole(1, 4096))
    add('--rotate', 'largest rotation either way, degrees', default.rotate, 'DEG', number)
    add('--speed', 'of the digits, pixels a second', default.speed, both, number)
    add('--contrast', 'of digit and ground, natural logarithm', default.contrast, both, number)
    add('--duration', 'of a recording, ms', default.duration, 'MS', arguments.whole(1, 10**6))
    add('--every', 'distance of labels, ms; the first is at 600', default.every, 'MS', arguments.whole(1, 10**6))
    add('--threshold', "of the camera's pixels, natural logarithm", eye.threshold, 'X', arguments.number(above=0))
    add('--threshold-noise', 'standard deviation of thresholds', eye.threshold_noise, 'X', arguments.number(0))
    add('--refractory', 'time in which pixels are blind, microseconds', eye.refractory, 'US', arguments.whole(0))
    add('--leak', 'events of each pixel that come of themselves, per second', eye.leak, 'HZ', arguments.number(0))
    add('--shot', 'shot noise in the dark, events of each pixel per second', eye.shot, 'HZ', arguments.number(0))
    add('--seed', 'another seed, other recordings', 0, 'N', arguments.seed)
    parser.add_argument(
        '--recordings', type=arguments.file_name, metavar='FOLDER', help='place these instead, four to a scene'
    )
    parser.add_argument('--force', action='store_true', help='replace recordings made before')
    args = parser.parse_args(argv)
    try:
        args.settings = EventSceneSettings(
            tuple(args.size), tuple(args.digits), tuple(args.scale), args.rotate, tuple(args.speed),
            tuple(args.contrast), args.duration, args.every,
        )  # fmt: skip
    except ValueError as error:
        parser.error(f'--{error}')
    args.camera = CameraSettings(args.threshold, args.threshold_noise, args.refractory, args.leak, args.shot)
    args.counts = {'train': args.train, 'val': args.val}
    return args


@command_line('no recordings; earlier ones are as they were')
def main(argv: list[str] | None = None) -> None:
    """Run the command line; ends with status 1 and one sentence on what cannot be done."""
    args = parse_args(argv)
    cv2.setNumThreads(1)  # the pictures are too small to gain from more
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that it tidies up
    start = time.perf_counter()
    check_writable('--out', args.out)
    made = make_dataset(args.out, args.counts, args.seed, args.settings, args.camera, args.force, args.recordings)
    took = f'made in {time.perf_counter() - start:.1f} s' if made else 'are there already, with the same settings'
    sets = ', '.join(sorted(path.parent.name for path in args.out.glob('*/train')))
    print(f'{args.out}: {args.train} + {args.val} recordings (training + validation; class sets {sets}) {took}')


if __name__ == '__main__':
    main()
