"""The demo: make digit scenes, train a small spiking network on them, draw what it sees.

`make demo` runs it with a Mask R-CNN, `make demo-seg` with a Semantic FPN. Everything goes to work_dirs/demo or
work_dirs/demo_seg: predictions.png beside the ground truth, curves.png, metrics.json and the checkpoints; of the
Mask R-CNN also the receptive fields of the trained backbone.
"""

import argparse
import subprocess
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from mmsterf.engine import check_versions, exit_on_error

ROOT = Path(__file__).resolve().parents[1]
# Config and folder of the results by task.
TASKS = {
    'det': ('mask_rcnn_sdt_mlpixer_digits.py', 'work_dirs/demo'),
    'seg': ('semantic_fpn_sdt_mlpixer_digits.py', 'work_dirs/demo_seg'),
}


def main() -> None:
    """Run the demo from a clone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--task', choices=list(TASKS), default='det', help='detection or segmentation')
    parser.add_argument('--config', help="config on digit scenes, the task's by default")
    parser.add_argument('--data', default='data/digit_scenes', help='folder of the scenes, made if missing')
    parser.add_argument('--train', type=int, default=3200, help='training scenes to make')
    parser.add_argument('--val', type=int, default=120, help='validation scenes to make')
    parser.add_argument('--work-dir', help='folder of the results')
    parser.add_argument('--length', type=int, help='epochs (detection) or iterations (segmentation) of training')
    args = parser.parse_args()
    config, work_dir = TASKS[args.task]
    with exit_on_error():
        check_versions()
    converter = ROOT / 'tools' / 'dataset_converters' / 'make_digit_scenes.py'
    scenes = ['--out', args.data, '--train', str(args.train), '--val', str(args.val)]
    if subprocess.run([sys.executable, str(converter), *scenes]).returncode:
        sys.exit('error: the scenes could not be made, see above')
    from mmsterf.engine.demo import run

    run(args.config or str(ROOT / 'configs' / config), Path(args.data), Path(args.work_dir or work_dir), args.length)


if __name__ == '__main__':
    main()
