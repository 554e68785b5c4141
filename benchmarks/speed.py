"""Speed and memory of MetaSDT: each optimisation, each runtime, against ANN backbones, and against the machine.

    python benchmarks/speed.py [--arch tiny] [--mixer MLPixer] [--runs 5] [--threads 2] [--device cuda]
                               [--out FILE.json] [--minutes 5]

Prints Markdown tables. Each case runs in a process of its own, so that its peak memory is its own; times are medians of
single runs after a warm-up (at least --runs, and 4 seconds of them), memory is the peak resident memory of the process,
on CUDA that of its tensors. Ratios within one run of this program are comparable, absolute times are the machine's.
With --out, numbers are kept as they come, and the same command goes on where --minutes ended the one before; tables
follow when all cases are there.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from mmengine.utils import track_iter_progress
from speed_tables import ANNS, GROWN, LARGE, MIXED, NOT_RUN, RUNTIMES, SMALL, STEPS, report

from mmsterf.engine import arguments, command_line
from mmsterf.erf import replace_file
from mmsterf.errors import InvalidInput


def plan(device: str) -> list:
    """All cases as (what, mode, size, where)."""
    # Cases whose ratios matter stand beside each other.
    cases = [('flops', 'inference', LARGE, 'pytorch'), ('public', 'inference', LARGE, 'pytorch')]
    cases += [(ann, 'inference', LARGE, where) for ann in ('sdt', *ANNS.values()) for where in RUNTIMES]
    cases += [('sdt', 'inference', SMALL, where) for where in RUNTIMES]
    cases += [(step, 'training', LARGE, 'pytorch') for step in ('public', 'sdt')] + [('sdt', 'amp', LARGE, 'pytorch')]
    cases += [(model, 'inference', size, where) for model, size in GROWN.items() for where in (*RUNTIMES, MIXED)]
    cases += [('sdt', 'training', SMALL, 'pytorch'), ('neurons', 'training', LARGE, 'pytorch')]
    cases += [(step, mode, LARGE, 'pytorch') for mode, steps in STEPS.items() for step in steps]
    return [case for case in dict.fromkeys(cases) if device == 'cpu' or case[3] == 'pytorch']


@command_line()
def main() -> None:
    """Run all cases and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--arch', default='tiny')
    parser.add_argument('--mixer', default='MLPixer')
    parser.add_argument('--runs', type=arguments.count, default=5, help='timed runs of each case (default 5)')
    parser.add_argument('--threads', type=arguments.count, default=2)
    parser.add_argument('--device', type=arguments.device, default='cpu', help='cpu or cuda (default cpu)')
    parser.add_argument(
        '--clock',
        choices=('wall', 'cpu'),
        default='wall',
        help='cpu: time of the processor, for --threads 1 on a machine that does other work as well (default wall)',
    )
    parser.add_argument('--out', type=Path, help='keep all numbers in this JSON file, and go on from it')
    parser.add_argument('--only', default='', help='cases whose what,mode,size,where has this in it')
    parser.add_argument('--minutes', type=arguments.number(0), help='begin no further case after so many')
    parser.add_argument('--tables', action='store_true', help='print the tables with - for cases that are left')
    args = parser.parse_args()
    settings = {key: getattr(args, key) for key in ('arch', 'mixer', 'runs', 'threads', 'device', 'clock')}
    if args.clock == 'cpu' and (args.threads > 1 or args.device != 'cpu'):
        raise InvalidInput('--clock cpu adds up all threads of the processor: it needs --threads 1 and --device cpu')
    found = _kept(args.out, settings)
    cases = [case for case in plan(args.device) if args.only in ','.join(case)]
    end = time.monotonic() + 60 * args.minutes if args.minutes else float('inf')
    for case in track_iter_progress([case for case in cases if case not in found], file=sys.stderr):
        if time.monotonic() > end:
            break
        worker = Path(__file__).with_name('speed_case.py')
        job = json.dumps({**settings, **dict(zip(('what', 'mode', 'size', 'where'), case))})
        printed = subprocess.check_output([sys.executable, worker, job], text=True)
        found[case] = json.loads(printed.splitlines()[-1])
        if args.out:
            kept = {'settings': settings, 'cases': {','.join(c): numbers for c, numbers in found.items()}}
            replace_file(args.out, lambda part, kept=kept: part.write_text(json.dumps(kept, indent=1)))
    missing = [case for case in plan(args.device) if case not in found]
    if missing and not args.tables:
        print(f'\n{len(missing)} of {len(plan(args.device))} cases are left: the same command goes on')
        return
    print(
        f'\nMetaSDT {args.arch}, {args.mixer}, {args.device}, {args.threads} threads, medians of at least {args.runs} '
        f'runs and 4 s, {args.clock} time\n'
    )
    report({**dict.fromkeys(missing, NOT_RUN), **found}, args.device)


def _kept(file: Path, settings: dict) -> dict:
    """Numbers of a former run with the same settings."""
    if not file or not file.is_file():
        return {}
    kept = json.loads(file.read_text())
    if kept['settings'] != settings:
        raise InvalidInput(f'--out {file} is of other settings ({kept["settings"]}): name another file')
    return {tuple(key.split(',')): numbers for key, numbers in kept['cases'].items()}


if __name__ == '__main__':
    main()
