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
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

import cv2
import numpy as np
from tqdm import tqdm

from mmsterf.datasets.digit_scans import load_scans
from mmsterf.datasets.event_scenes import CLASS_SETS, EventScene, EventSceneSettings, make_event_scene
from mmsterf.datasets.made_folder import make_folder
from mmsterf.datasets.placed_events import find_recordings, place_recordings
from mmsterf.datasets.scene_settings import SPLITS
from mmsterf.engine import arguments, command_line
from mmsterf.engine.outputs import check_writable
from mmsterf.events.camera import CameraSettings
from mmsterf.events.recordings import reader

CONVERTER = Path(__file__).with_name('prophesee_to_coco.py')
FORMAT = 1  # of the files and of the recordings; goes up when the same settings no longer give the same data


def make_dataset(
    out: Path,
    counts: dict[str, int],
    seed: int = 0,
    settings: EventSceneSettings | None = None,
    camera: CameraSettings | None = None,
    force: bool = False,
    recordings: str | None = None,
) -> bool:
    """Make the recordings in `out`, unless they are there already. They appear there whole or not at all.

    Args:
        out: Folder to make; its parents are made too.
        counts: Number of recordings of 'train' and of 'val'.
        seed: At least 0.
        settings: What they are like; default :class:`EventSceneSettings`.
        camera: What the camera is like; default :class:`CameraSettings`.
        force: Replace recordings that this tool made with other settings (or with the same).
        recordings: Folder of class folders of real ones, four of which are placed in a scene instead.

    Returns:
        Whether they were made; False if they were there with the same settings.

    Raises:
        FileExistsError: `out` holds something else.
    """
    settings, camera = settings or EventSceneSettings(), camera or CameraSettings()
    meta = {'format': FORMAT, **counts, **asdict(settings), **asdict(camera), 'seed': seed, 'recordings': recordings}
    class_sets = dict(CLASS_SETS)
    if recordings:
        classes, paths, labels = find_recordings(recordings)
        class_sets = {'digits': classes}

    def scene(split: str, index: int) -> EventScene:
        if recordings:
            return place_recordings(paths, labels, split, seed, index, settings.size)
        return make_event_scene(split, seed, index, settings, camera)

    def write(folder: Path) -> None:
        if not recordings:
            load_scans()  # fails before anything is written if scikit-learn is missing
        mininterval = 0.1 if sys.stderr.isatty() else 5
        with tqdm(total=sum(counts.values()), desc='event scenes', unit='recording', mininterval=mininterval) as bar:
            for split in SPLITS:
                for index in range(counts[split]):
                    _write_scene(folder, split, index, scene(split, index), settings.size)
                    bar.update()
        for class_set, names in class_sets.items():
            command = [sys.executable, str(CONVERTER), str(folder / class_set), '--classes', *names]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    return make_folder(out, meta, write, force)


def _write_scene(root: Path, split: str, index: int, scene: EventScene, size: tuple[int, int]) -> None:
    recording, name = None, f'scene_{index:04d}'
    for class_set, boxes in scene.boxes.items():
        folder = root / class_set / split
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / f'{name}_bbox.npy', boxes)
        target = folder / f'{name}_td.dat'
        if recording is None:
            reader('evio.formats.prophesee', target).write(target, scene.events, width=size[1], height=size[0])
            recording = target
        else:
            _link_or_copy(recording, target)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(source, target)


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
