"""The demo: make digit scenes, train a small spiking network on them, draw what it sees.

`make demo` runs it with a Mask R-CNN, `make demo-seg` with a Semantic FPN. Everything goes to work_dirs/demo or
work_dirs/demo_seg: predictions.png beside the ground truth, curves.png, metrics.json and the checkpoints; of the
Mask R-CNN also the receptive fields of the trained backbone.
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
# Config and folder of the results by task.
TASKS = {
    'det': ('mask_rcnn_sdt_mlpixer_digits.py', 'work_dirs/demo'),
    'seg': ('semantic_fpn_sdt_mlpixer_digits.py', 'work_dirs/demo_seg'),
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
    args = parser.parse_args(argv)
    config, work_dir = TASKS[args.task]
    check_versions()
    from mmsterf.engine.config import load_config
    from mmsterf.engine.outputs import check_writable

    config = args.config or str(ROOT / 'configs' / config)
    work_dir = args.work_dir or work_dir
    load_config(config)  # before the scenes are made
    check_writable('--work-dir', work_dir)
    check_writable('--data', args.data)
    converter = ROOT / 'tools' / 'dataset_converters' / 'make_digit_scenes.py'
    scenes = ['--out', args.data, '--train', str(args.train), '--val', str(args.val)]
    if status := subprocess.run([sys.executable, str(converter), *scenes]).returncode:
        sys.exit(status)  # it has said why
    from mmsterf.engine.demo import run

    run(config, Path(args.data), Path(work_dir), args.length)


if __name__ == '__main__':
    main()
