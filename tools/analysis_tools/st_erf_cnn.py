"""Spatio-temporal effective receptive fields of plain spiking CNNs, by depth, kernel, tau, neuron and surrogate.

    python tools/analysis_tools/st_erf_cnn.py [--depths 10 20 30 40] [--kernels 3 5 7] [--help]

A network is a stack of (k x k convolution - batch norm - neuron) with one channel and random weights. The first value
of each list makes the base setting; one list at a time is then gone through. Writes maps.npz, metrics.json, metrics.csv
and, for every list of several values, figures of the maps per delay, their profiles with Gaussian fits and their
temporal ERF (PNG, PDF) to --out.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.analysis.plain_cnns import average, draw, name_of, settings_of
from mmsterf.engine import arguments, command_line
from mmsterf.engine.outputs import ResultFolder
from mmsterf.erf import STERF, measure, write_csv, write_json, write_maps
from mmsterf.snn.neurons import NEURONS
from mmsterf.snn.surrogates import SURROGATES

FILES = ('maps.npz', 'metrics.json', 'metrics.csv')


def parse(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.partition('\n\n    ')[0], epilog=__doc__.partition('\n\n')[2].partition('\n\n')[2]
    )
    add = parser.add_argument
    add('--depths', type=arguments.whole(1, 1000), nargs='+', default=[10, 20, 30, 40], help='numbers of layers')
    add('--kernels', type=odd, nargs='+', default=[3, 5, 7], help='kernel sides, odd')
    add(
        '--taus',
        type=arguments.number(1, 10**6),
        nargs='+',
        default=[2.0, 1.0, 1.1, 4.0],
        help='membrane time constants in steps',
    )
    neurons = ['LIF', *sorted(set(NEURONS) - {'LIF'})]
    add('--neurons', nargs='+', default=neurons, choices=neurons, help='types of neurons')
    surrogates = ['Sigmoid', 'ATan', 'Rect', 'PiecewiseQuadratic']
    add('--surrogates', nargs='+', default=surrogates, choices=list(SURROGATES), help='surrogate gradients')
    add(
        '--time-steps',
        type=arguments.whole(1, 1000),
        default=4,
        help='steps T, each with a frame of its own (default 4)',
    )
    add('--num', type=arguments.count, default=20, help='random networks per setting, each with its input (default 20)')
    add(
        '--size',
        type=arguments.whole(1, 2048),
        nargs='+',
        default=[64],
        metavar=('H', 'W'),
        help='input size, W = H if left out (default 64)',
    )
    add('--seed', type=arguments.whole(0, arguments.SEEDS - 10**6), default=0, help='of weights and inputs (default 0)')
    add('--out', type=Path, default=Path('work_dirs/st_erf_cnn'), help='folder (default work_dirs/st_erf_cnn)')
    add('--force', action='store_true', help='overwrite files in --out that this tool did not write')
    args = parser.parse_args(argv)
    if len(args.size) > 2:
        parser.error(f'argument --size: takes H and W, got {len(args.size)} numbers')
    args.size = (args.size[0], args.size[-1])
    return args


def odd(text: str) -> int:
    """Type of the sides of kernels."""
    if (side := arguments.whole(1, 1001)(text)) % 2 == 0:
        raise argparse.ArgumentTypeError(f'must be odd, got {side}')
    return side


@command_line()
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line."""
    args = parse(argv)
    names = ('depth', 'kernel', 'tau', 'neuron', 'surrogate')
    lists = {name: list(dict.fromkeys(getattr(args, f'{name}s'))) for name in names}
    results: dict[str, STERF] = {}
    rows = []
    studies = settings_of(lists)
    folder = ResultFolder('--out', args.out, 'st_erf_cnn.py', args.force, names=FILES)
    print(f'{"setting":42}{"sigma px":>10}{"R^2":>8}{"area 99 %":>11}{"half-life":>11}{"empty":>7}')
    for setting in (setting for settings in studies.values() for setting in settings):
        name = name_of(setting)
        if name in results:
            continue
        results[name], empty = average(setting, args.num, args.size, args.time_steps, args.seed)
        numbers = measure(results[name])
        rows.append({**setting, **numbers, 'empty': empty})
        sigma, r2 = ((numbers[f'{key}_h'] + numbers[f'{key}_v']) / 2 for key in ('sigma', 'r2'))
        columns = f'{sigma:10.2f}{r2:8.3f}{numbers["area_99"]:11.3f}{numbers["half_life"]:11.2f}{empty:7}'
        print(f'{name:42}{columns}', flush=True)
    with folder:
        write_maps(args.out / 'maps.npz', results)
        about = {key: getattr(args, key) for key in ('num', 'size', 'seed', 'time_steps')}
        write_json(args.out / 'metrics.json', rows, {**about, 'weights': 'random'})
        write_csv(args.out / 'metrics.csv', rows)
        for study, settings in studies.items():
            draw(study, {name_of(setting): results[name_of(setting)] for setting in settings}, args.out)
    print(f'\nwritten to {args.out}')


if __name__ == '__main__':
    main()
