"""Firing rates, operations and energy of any mmdet, mmseg or mmsterf config, and of the ANN of the same shape.

    python tools/analysis_tools/get_energy.py CONFIG [CHECKPOINT] [--input ...] [--help]

Prints a table and writes energy.json and energy.png to --out. Counts are exact: what docs/energy.md says.
"""

import argparse
import sys
from pathlib import Path
from typing import Optional

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.engine import arguments, check_versions, command_line
from mmsterf.engine.cfg_options import add_cfg_options
from mmsterf.engine.outputs import ResultFolder

EXAMPLES = """examples:
  get_energy.py configs/semantic_fpn_sdt_mlpixer_tiny.py work_dirs/run/iter_160000.pth --input dataset --num 50
  get_energy.py configs/mask_rcnn_sdt_srb.py --input street.jpg park.jpg --calibrate 1
  get_energy.py mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py --size 224 224
"""


def parse(argv: Optional[list[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n\n')[0], epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('config', help='config file, or mmdet::... of an installed package')
    add('checkpoint', nargs='?', help='weights; random ones without it')
    add(
        '--input',
        nargs='+',
        default=['noise'],
        metavar='SOURCE',
        help='noise (default), dataset, or images, folders, globs and videos',
    )
    add(
        '--num',
        type=arguments.count,
        help='number of images (default 1; of images and videos at most 20, evenly spread)',
    )
    add(
        '--size',
        type=arguments.side,
        nargs=2,
        metavar=('H', 'W'),
        help="size of all images (default: the test pipeline's; without one, 224 224 or what the model takes)",
    )
    add('--mac', type=arguments.number(0), default=4.6, help='pJ of a multiply-accumulate (default 4.6: 45 nm)')
    add('--ac', type=arguments.number(0), default=0.9, help='pJ of a synaptic operation (default 0.9: 45 nm)')
    add('--fold', action='store_true', help='fold RepConv and batch norms into convolutions first')
    add(
        '--calibrate',
        type=arguments.whole(0, 10**6),
        default=0,
        metavar='N',
        help='set batch-norm statistics from N of the images first',
    )
    add('--seed', type=arguments.seed, default=0, help='of noise and of random weights (default 0)')
    add('--device', type=arguments.device, default='cpu', help='torch device (default cpu)')
    add('--out', type=Path, default=Path('work_dirs/energy'), help='folder (default work_dirs/energy)')
    add('--force', action='store_true', help='overwrite files in --out that this tool did not write')
    add_cfg_options(parser)
    return parser.parse_args(argv)


@command_line()
def main(argv: Optional[list[str]] = None) -> None:
    """Run the command line."""
    args = parse(argv)
    check_versions()
    folder = ResultFolder('--out', args.out, 'get_energy.py', args.force, names=('energy.json', 'energy.png'))
    from mmsterf.analysis import Cost
    from mmsterf.analysis.energy_report import Energy
    from mmsterf.analysis.passes import Source

    source = Source(args.input, args.num, args.size, args.seed, args.device)
    how = {'fold': args.fold, 'calibrate': args.calibrate, 'cost': Cost(args.mac, args.ac)}
    energy = Energy(args.config, args.checkpoint, source, args.cfg_options, **how)
    for line in energy.lines():
        print(line)
    with folder:
        energy.write(args.out)
    print(f'written to {args.out}')


if __name__ == '__main__':
    main()
