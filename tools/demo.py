"""The demo: make digit scenes, train a small spiking Mask R-CNN on them, draw what it sees. `make demo` runs it.

Everything goes to work_dirs/demo: predictions.png beside the ground truth, curves.png, the receptive fields of the
trained backbone, metrics.json and the checkpoints.
"""

import argparse
import subprocess
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from mmsterf.engine import check_versions, exit_on_error

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / 'configs' / 'mask_rcnn_sdt_mlpixer_digits.py'


def main() -> None:
    """Run the demo from a clone."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--config', default=str(CONFIG), help='detection config on digit scenes')
    parser.add_argument('--data', default='data/digit_scenes', help='folder of the scenes, made if missing')
    parser.add_argument('--train', type=int, default=3200, help='training scenes to make')
    parser.add_argument('--val', type=int, default=120, help='validation scenes to make')
    parser.add_argument('--work-dir', default='work_dirs/demo', help='folder of the results')
    parser.add_argument('--epochs', type=int, help="length of training, the config's by default")
    args = parser.parse_args()
    with exit_on_error():
        check_versions()
    converter = ROOT / 'tools' / 'dataset_converters' / 'make_digit_scenes.py'
    scenes = ['--out', args.data, '--train', str(args.train), '--val', str(args.val)]
    if subprocess.run([sys.executable, str(converter), *scenes]).returncode:
        sys.exit('error: the scenes could not be made, see above')
    from mmsterf.engine.demo import run

    run(args.config, Path(args.data), Path(args.work_dir), args.epochs)


if __name__ == '__main__':
    main()
