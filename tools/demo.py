"""The demo: make scenes, train a small spiking network on them, draw what it sees.

`make demo` runs it with a Mask R-CNN on digit scenes, `make demo-seg` with a Semantic FPN, `make demo-events` with a
Faster R-CNN on recordings of a simulated event camera. In the first two the backbone begins by telling single digits
apart, as others do on ImageNet (docs/pretraining.md; --no-pretrain leaves that out). Everything goes to work_dirs/demo
(demo_seg, demo_events): predictions.png beside the ground truth, curves.png, metrics.json and the checkpoints; of the
detectors also the receptive fields of the trained backbone, and of events a GIF of a validation recording with
predictions.
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from mmsterf.engine import arguments, check_versions, command_line

ROOT = Path(__file__).resolve().parents[1]


class Task(NamedTuple):
    """Config of a task, its folder of results, that of its pretraining, how its scenes are made and how many."""

    config: str
    work_dir: str
    classifier: Optional[str] = None
    maker: str = 'make_digit_scenes.py'
    data: str = 'data/digit_scenes'
    counts: tuple = (3200, 120)


TASKS = {
    'det': Task('mask_rcnn_sdt_mlpixer_digits.py', 'work_dirs/demo', 'imagenet/sdt_mlpixer_digits.py'),
    'seg': Task('semantic_fpn_sdt_mlpixer_digits.py', 'work_dirs/demo_seg', 'imagenet/sdt_mlpixer_digits_seg.py'),
    'events': Task(
        'events/faster_rcnn_sdtv2_direction.py',
        'work_dirs/demo_events',
        None,
        'make_event_scenes.py',
        'data/event_scenes',
        (200, 40),
    ),
}


@command_line('what is in the work dir; `tools/train.py CONFIG --resume --work-dir DIR` goes on from a checkpoint')
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the demo from a clone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--task', choices=list(TASKS), default='det', help='detection, segmentation or events')
    parser.add_argument('--config', type=arguments.file_name, help="config on such scenes, the task's by default")
    parser.add_argument(
        '--data', type=arguments.file_name, help="folder of the scenes, made if missing; the task's by default"
    )
    parser.add_argument('--train', type=arguments.count, help='training scenes to make (default 3200; events 200)')
    parser.add_argument('--val', type=arguments.count, help='validation scenes to make (default 120; events 40)')
    parser.add_argument('--work-dir', type=arguments.file_name, help='folder of the results')
    parser.add_argument(
        '--length', type=arguments.whole(1), help='iterations of training (epochs, if --config counts epochs)'
    )
    parser.add_argument(
        '--pretrain',
        action=argparse.BooleanOptionalAction,
        help='pretrain the backbone on pictures of single digits, needs mmpretrain (detection and segmentation do)',
    )
    parser.add_argument(
        '--pictures', type=arguments.file_name, default='data/digit_pictures', help='their folder, made if missing'
    )
    parser.add_argument('--train-pictures', type=arguments.count, default=20000, help='training pictures to make')
    args = parser.parse_args(argv)
    task = TASKS[args.task]
    config = args.config or str(ROOT / 'configs' / task.config)
    work_dir, data = Path(args.work_dir or task.work_dir), Path(args.data or task.data)
    if args.pretrain and not task.classifier:
        parser.error(f'--pretrain is for --task {", ".join(name for name in TASKS if TASKS[name].classifier)}')
    if args.pretrain is None:
        # A config of one's own may have another backbone.
        args.pretrain = bool(task.classifier) and not args.config
    check_versions()
    from mmsterf.engine.config import load_config
    from mmsterf.engine.outputs import check_writable
    from mmsterf.errors import InvalidInput
    from mmsterf.versions import missing_for_pretraining

    load_config(config)  # before the scenes are made
    if args.pretrain and (missing := missing_for_pretraining()):
        raise InvalidInput(
            f'pretraining needs mmpretrain; not installed are {", ".join(missing)} (docs/pretraining.md says how to; '
            '--no-pretrain does without)'
        )
    check_writable('--work-dir', work_dir)
    check_writable('--data', data)
    counts = [given or default for given, default in zip((args.train, args.val), task.counts)]
    tool(f'dataset_converters/{task.maker}', '--out', data, '--train', counts[0], '--val', counts[1])
    if args.pretrain:
        check_writable('--pictures', args.pictures)
        counts = ('--train', args.train_pictures, '--val', max(args.train_pictures // 25, 1))
        tool(f'dataset_converters/{task.maker}', '--task', 'cls', '--out', args.pictures, *counts)
    from mmsterf.demo import pretrain, report, run

    pretraining = None
    if args.pretrain:
        # A demo cut short has a short one.
        length = 1 if args.length else None
        classifier = str(ROOT / 'configs' / task.classifier)
        pretraining = pretrain(classifier, Path(args.pictures), work_dir / 'pretraining', length)
    metrics = run(config, data, work_dir, args.length, pretraining)
    if args.task == 'events':
        recording, checkpoint = min(data.glob('*/val/*_td.dat')), (work_dir / 'last_checkpoint').read_text().strip()
        out = work_dir / 'predictions.gif'
        tool('analysis_tools/draw_events.py', recording, config, checkpoint, '--out', out, '--force')
    report(metrics, work_dir)


def tool(name: str, *arguments) -> None:
    """Run a tool; if it fails, it has said why."""
    if status := subprocess.run([sys.executable, str(ROOT / 'tools' / name), *map(str, arguments)]).returncode:
        sys.exit(status)


if __name__ == '__main__':
    main()
