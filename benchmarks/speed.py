"""Speed and memory of MetaSDT: before and after each optimisation, against ANN backbones, and against the machine.

    python benchmarks/speed.py [--arch tiny] [--mixer MLPixer] [--runs 5] [--threads 2] [--out FILE.json]

Prints Markdown tables. Each case runs in a process of its own, so that its peak memory is its own; times are medians of
single runs after a warm-up, memory is the peak resident memory of the process. Ratios within one run of this program
are comparable, absolute times are the machine's.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from mmengine.utils import track_iter_progress

SIZES = ('400x608', '512x512', '800x1216')
SMALL, MIDDLE, LARGE = SIZES
STEPS = {
    'training': ('public', 'linear', 'bytes', 'strips'),
    'inference': ('public', 'linear', 'folded'),
}
"""Ways to compute the same function, each with what those before it have."""
LAST = {mode: steps[-1] for mode, steps in STEPS.items()}
EXPLAINED = {
    'public': 'q k^T first, neurons save their input: as the public code',
    'linear': '+ k^T v first',
    'bytes': '+ neurons save one byte for each element',
    'strips': '+ weight gradient of 7x7 depthwise convolutions in strips',
    'folded': '+ norms and constants of neurons folded into the weights',
}
ANNS = {'PVTv2-b0': 'pvt', 'Swin-T': 'swin', 'ResNet-50': 'resnet'}


def plan() -> list:
    """All cases as (what, mode, size)."""
    cases = [('peak', 'inference', LARGE)]
    for size in (MIDDLE, LARGE):
        cases += [(step, mode, size) for mode, steps in STEPS.items() for step in steps]
    cases += [(step, mode, SMALL) for mode, step in LAST.items()]
    cases += [('neurons', 'training', LARGE), ('flops', 'inference', LARGE)]
    return cases + [(ann, mode, LARGE) for ann in ANNS.values() for mode in STEPS]


def table(header: list, rows: list) -> None:
    """Print rows in Markdown."""
    print(f'| {" | ".join(header)} |\n|{"---|" * len(header)}')
    for row in rows:
        print(f'| {" | ".join(str(cell) for cell in row)} |')
    print()


def report(found: dict) -> None:
    """Print the tables of all results, {(what, mode, size): numbers}."""

    def seconds(*case):
        return found[case]['seconds']

    for mode, steps in STEPS.items():
        print(f'(a) {"Training step" if mode == "training" else "Inference"}, one image\n')
        rows = []
        for size in (MIDDLE, LARGE):
            base = found['public', mode, size]
            for step in steps:
                case = found[step, mode, size]
                speed, memory = base['seconds'] / case['seconds'], case['mb'] / base['mb']
                cells = f'{case["seconds"]:.2f}', f'{speed:.1f}x', f'{case["mb"]:.0f}', f'{memory:.2f}'
                rows.append((size, EXPLAINED[step], *cells))
        table(['size', 'computed with', 's', 'faster', 'MB', 'memory'], rows)
    print(f'(b) Growth from {SMALL} to {LARGE}, 4 times the pixels\n')
    rows = [
        (mode, f'{seconds(LAST[mode], mode, SMALL):.2f}', f'{seconds(LAST[mode], mode, LARGE):.2f}',
         f'{seconds(LAST[mode], mode, LARGE) / seconds(LAST[mode], mode, SMALL):.1f}x')
        for mode in STEPS
    ]  # fmt: skip
    table(['mode', f'{SMALL}: s', f'{LARGE}: s', 'growth'], rows)
    ratio = seconds('linear', 'inference', LARGE) / seconds('folded', 'inference', LARGE)
    print(f'(c) Folded inference at {LARGE} is {ratio:.2f} times as fast as unfolded inference.\n')
    print(f'(d) Backbones at {LARGE}, one image; x: times of MetaSDT\n')
    rows = []
    for name, key in (('MetaSDT', None), *ANNS.items()):
        cells = [name, f'{found[key or "flops", "inference", LARGE]["parameters"] / 1e6:.2f}']
        for mode in ('inference', 'training'):
            case, own = found[key or LAST[mode], mode, LARGE], found[LAST[mode], mode, LARGE]
            cells += [f'{case["seconds"]:.2f}', f'{case["seconds"] / own["seconds"]:.1f}x', f'{case["mb"]:.0f}']
        rows.append(cells)
    table(['backbone', 'M parameters', 'inference: s', '', 'MB', 'training: s', '', 'MB'], rows)
    peak = found['peak', 'inference', LARGE]['gflops']
    flops, rows = found['flops', 'inference', LARGE]['gflop'], []
    for mode, times in (('inference', 1), ('training', 3)):  # a gradient of the input and of the weight for each layer
        rate = times * flops / seconds(LAST[mode], mode, LARGE)
        rows.append((mode, f'{times * flops:.0f}', f'{rate:.0f}', f'{100 * rate / peak:.0f} %'))
    print(f'(e) Share of the convolution peak, {peak:.0f} GFLOP/s, measured with a 3x3 convolution of 256 channels\n')
    table(['mode', 'GFLOP', 'GFLOP/s', 'of the peak'], rows)
    share = found['neurons', 'training', LARGE]['share']
    print(f'(f) Neurons, forward and backward, take {100 * share:.0f} % of a training step at {LARGE}.')


def main() -> None:
    """Run all cases and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--arch', default='tiny')
    parser.add_argument('--mixer', default='MLPixer')
    parser.add_argument('--runs', type=int, default=5, help='timed runs of each case (default 5)')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--out', type=Path, help='also write all numbers to this JSON file')
    args = parser.parse_args()
    found = {}
    for case in track_iter_progress(plan(), file=sys.stderr):
        worker = Path(__file__).with_name('speed_case.py')
        settings = [args.arch, args.mixer, str(args.runs), str(args.threads)]
        found[case] = json.loads(subprocess.check_output([sys.executable, worker, *settings, *case], text=True))
    print(f'\nMetaSDT {args.arch}, {args.mixer}, {args.threads} threads, medians of {args.runs} runs\n')
    report(found)
    if args.out:
        args.out.write_text(json.dumps({','.join(case): numbers for case, numbers in found.items()}, indent=1))


if __name__ == '__main__':
    main()
