"""The demo: make digit scenes, train a small spiking network on them, draw what it sees.

`make demo` runs it with a Mask R-CNN, `make demo-seg` with a Semantic FPN. Everything goes to work_dirs/demo or
work_dirs/demo_seg: predictions.png beside the ground truth, curves.png, metrics.json and the checkpoints; of the
Mask R-CNN also the receptive fields of the trained backbone. With --pretrain the backbone first learns to tell single
digits apart, as others do on ImageNet (docs/pretraining.md).
"""

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from mmsterf.engine import arguments, check_versions, command_line

ROOT = Path(__file__).resolve().parents[1]
# Config, that of its pretraining, and folder of the results by task.
TASKS = {
    'det': ('mask_rcnn_sdt_mlpixer_digits.py', 'imagenet/sdt_mlpixer_digits.py', 'work_dirs/demo'),
    'seg': ('semantic_fpn_sdt_mlpixer_digits.py', 'imagenet/sdt_mlpixer_digits_seg.py', 'work_dirs/demo_seg'),
}


@command_line('what is in the work dir; `tools/train.py CONFIG --resume --work-dir DIR` goes on from a checkpoint')
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the demo from a clone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--task', choices=list(TASKS), default='det', help='detection or segmentation')
    parser.add_argument('--config', type=arguments.file_name, help="config on digit scenes, the task's by default")
    parser.add_argument(
        '--data', type=arguments.file_name, default='data/digit_scenes', help='folder of the scenes, made if missing'
    )
    parser.add_argument('--train', type=arguments.count, default=3200, help='training scenes to make')
    parser.add_argument('--val', type=arguments.count, default=120, help='validation scenes to make')
    parser.add_argument('--work-dir', type=arguments.file_name, help='folder of the results')
    parser.add_argument(
        '--length', type=arguments.whole(1), help='epochs (detection) or iterations (segmentation) of training'
    )
    parser.add_argument('--pretrain', action='store_true', help='pretrain the backbone on pictures of single digits')
    parser.add_argument(
        '--pictures', type=arguments.file_name, default='data/digit_pictures', help='their folder, made if missing'
    )
    parser.add_argument('--train-pictures', type=arguments.count, default=8000, help='training pictures to make')
    args = parser.parse_args(argv)
    config, classifier, work_dir = TASKS[args.task]
    check_versions()
    from mmsterf.engine.config import load_config
    from mmsterf.engine.outputs import check_writable
    from mmsterf.errors import InvalidInput
    from mmsterf.versions import missing_for_pretraining

    config = args.config or str(ROOT / 'configs' / config)
    work_dir = Path(args.work_dir or work_dir)
    load_config(config)  # before the scenes are made
    if args.pretrain and (missing := missing_for_pretraining()):
        raise InvalidInput(
            f'--pretrain needs mmpretrain; not installed are {", ".join(missing)} (docs/pretraining.md says how to)'
        )
    check_writable('--work-dir', work_dir)
    check_writable('--data', args.data)
    make('--out', args.data, '--train', args.train, '--val', args.val)
    if args.pretrain:
        check_writable('--pictures', args.pictures)
        counts = ('--train', args.train_pictures, '--val', max(args.train_pictures // 10, 1))
        make('--task', 'cls', '--out', args.pictures, *counts)
    from mmsterf.engine.demo import pretrain, run

    pretraining = None
    if args.pretrain:
        # A demo cut short has a short one.
        length = 1 if args.length else None
        classifier = str(ROOT / 'configs' / classifier)
        pretraining = pretrain(classifier, Path(args.pictures), work_dir / 'pretraining', length)
    run(config, Path(args.data), work_dir, args.length, pretraining)


def make(*arguments) -> None:
    """Make scenes or pictures, unless they are there."""
    converter = ROOT / 'tools' / 'dataset_converters' / 'make_digit_scenes.py'
    if status := subprocess.run([sys.executable, str(converter), *map(str, arguments)]).returncode:
        sys.exit(status)  # it has said why


if __name__ == '__main__':
    main()
