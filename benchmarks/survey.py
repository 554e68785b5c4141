"""ST-ERF of one config of every family that mmdet and mmseg install, with random weights and the tool's defaults.

    python benchmarks/survey.py [FAMILY ...] [--answers] [--again KIND ...] [--minutes 60] [--out work_dirs/survey]

Each family runs in a process of its own, with a limit of time and memory and without a network, and ends as one line:

    fine     maps came out, and none is rounding error, empty or not finite
    refused  one sentence says what is missing
    wrong    a traceback, a map of noise, or a limit

With --answers, the receptive field of an answer in place of those of layers: the best box of detectors, a pixel of
segmentors, at 128x160; where the size does not do, or a threshold leaves no box, again as the refusal advises. The
totals stand at the end.
Results are kept in --out/survey.jsonl: a later run goes on where one stopped.
"""

import argparse
import contextlib
import importlib
import json
import multiprocessing
import os
import re
import resource
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(1, str(ROOT))
KINDS = ('fine', 'refused', 'wrong')
ANSWERS = {'mmdet': 'box:BEST', 'mmseg': 'pixel:20,30'}
SMALL = ('r18', 'nano', 'tiny', '_t', 'r50', 'small', '_s_', 'b0', 'b1')


def families() -> dict:
    """Return the config (``package::path``) that stands for each family: a small model, by its name."""
    found = {}
    for package in ('mmdet', 'mmseg'):
        root = Path(find_spec(package).origin).parent / '.mim' / 'configs'
        for folder in sorted(p for p in root.iterdir() if p.is_dir() and p.name != '_base_'):
            files = sorted(folder.rglob('*.py'), key=lambda f: (len(f.parts), _size(f.stem), len(f.stem), f.stem))
            if files:
                found[f'{package}/{folder.name}'] = f'{package}::{files[0].relative_to(root)}'
    return found


def _size(stem: str) -> int:
    return next((i for i, part in enumerate(SMALL) if part in stem), len(SMALL))


def survey(config: str, options: list, log: str, gigabytes: float) -> None:
    """Analyse one config in this process; what it prints goes to `log`."""
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(out, 1)
    os.dup2(out, 2)
    limit = int(gigabytes * 2**30)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    socket.socket.connect = socket.getaddrinfo = _no_network
    from mmsterf.erf import command, plots

    plots.save = lambda figure, path: None  # figures take longer than maps here
    command.main([config, '--num', '1', '--batch-size', '1', *options])


def _no_network(*args, **kwargs):
    raise OSError('the survey has no network, and something asked for it')


def judge(code, log: str, folder: Path) -> tuple:
    """Return (kind, what there is to say) of one run from its exit status, its log and its metrics."""
    lines = [line.strip() for line in log.replace('\r', '\n').splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith('error: ')]
    if code is None:
        return 'wrong', 'ran out of time'
    if 'Traceback (most recent call last)' in log or code < 0:
        bug = [line for line in lines if not line.startswith('this is a bug')]
        return 'wrong', bug[-1] if bug else f'killed by signal {-code}'
    if code:
        if 'no network' in log:
            return 'wrong', 'asks for the network'
        return ('refused', errors[-1][7:]) if len(errors) == 1 else ('wrong', f'status {code}: {lines[-1:]}')
    if (folder / 'answers.json').exists():
        row = json.loads((folder / 'answers.json').read_text())['layers'][0]
        return ('refused', row['notes']) if row['notes'] else ('fine', f'{row["target"]} {row["score"]:.3f}')
    rows = json.loads((folder / 'metrics.json').read_text())['layers']
    noise = [row['layer'] for row in rows if row['cancels']]
    empty = [row['layer'] for row in rows if not row['cancels'] and not row['nonzero']]
    if noise or empty:
        return 'wrong', ', '.join([f'{n} is noise' for n in noise] + [f'{n} is empty' for n in empty])
    notes = [line.partition(': ')[2] for line in lines if line.startswith('warning: ')]
    return 'fine', f'{len(rows)} maps' + ''.join(f'; {note}' for note in notes)


def answered(config: str, args: argparse.Namespace) -> tuple:
    """Run one config for an answer; as long as a refusal names a lower threshold or another size, with that."""
    target, size, options = ANSWERS.get(config.partition('::')[0], 'box:BEST'), ['128', '160'], []
    for _ in range(3):
        kind, text = run(config, args, ['--target', target, '--size', *size, *options])
        larger = re.search(r'a size that works is (\d+) x (\d+)', text)
        lower = re.search(r'--cfg-options (\S+=0) ', text)
        if kind != 'refused' or not (larger or lower):
            break
        size = list(larger.groups()) if larger else size
        options = ['--cfg-options', lower[1]] if lower else options
    return kind, text


def run(config: str, args: argparse.Namespace, asked: Sequence[str] = ()) -> tuple:
    """Run one config in a fork of this process, which has imported what all need."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / 'log'
        out = Path(folder) / 'out'
        options = ['--out', str(out), *asked, *args.options]
        child = multiprocessing.get_context('fork').Process(
            target=survey, args=(config, options, str(log), args.memory), daemon=True
        )
        child.start()
        child.join(args.seconds)
        if child.is_alive():
            child.kill()
            child.join()
            return judge(None, '', out)
        text = log.read_text(errors='replace') if log.exists() else ''
        (args.out / 'logs' / f'{config.replace("::", "-").replace("/", "-")}.txt').write_text(text)
        return judge(child.exitcode, text, out)


def main() -> None:
    """Run the families that have no result yet, and print all lines and the totals."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    add = parser.add_argument
    add('families', nargs='*', help='as mmdet/retinanet (default: all); `package::path` takes one config')
    add('--again', nargs='+', default=[], choices=KINDS, help='run those that ended so once more')
    add('--part', default='1/1', help='2/3: the second of three parts, which may run at once (default 1/1)')
    add('--minutes', type=float, default=1e9, help='stop after this many; the next run goes on')
    add('--seconds', type=float, default=120, help='limit for one family (default 120)')
    add('--memory', type=float, default=8, help='limit for one family in GiB (default 8)')
    add('--answers', action='store_true', help='receptive fields of answers (`--target`), not of layers')
    add('--out', type=Path, help='folder (default work_dirs/survey, or survey_answers)')
    add('--options', nargs=argparse.REMAINDER, default=[], help='further options of st_erf.py; last')
    args = parser.parse_args()
    args.out = args.out or Path('work_dirs', 'survey_answers' if args.answers else 'survey')
    (args.out / 'logs').mkdir(parents=True, exist_ok=True)
    known = families()
    wanted = {f: known.get(f, f) for f in args.families or known}
    kept = args.out / 'survey.jsonl'
    done = {}
    if kept.exists():
        done = {row['family']: row for row in map(json.loads, kept.read_text().splitlines())}
    todo = [f for f in wanted if f not in done or done[f]['kind'] in args.again or args.families]
    part, parts = map(int, args.part.split('/'))
    todo = todo[part - 1 :: parts]
    for name in ('mmdet.apis', 'mmseg.models', 'mmsterf.analysis.loading', 'mmsterf.erf.plots', 'mmsterf.models'):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    end = time.monotonic() + args.minutes * 60
    for family in todo:
        if time.monotonic() > end:
            print('out of time: run again to go on')
            break
        start = time.monotonic()
        kind, text = (answered if args.answers else run)(wanted[family], args)
        done[family] = {'family': family, 'config': wanted[family], 'kind': kind, 'text': text}
        print(f'{kind:8}{wanted[family]:60} {time.monotonic() - start:5.1f} s  {text}', flush=True)
        with kept.open('a') as file:
            file.write(json.dumps(done[family]) + '\n')
    counts = [sum(done[f]['kind'] == kind for f in wanted if f in done) for kind in KINDS]
    print(f'{len(wanted)} families: ' + ', '.join(f'{n} {kind}' for n, kind in zip(counts, KINDS)))
    sys.exit(counts[2] > 0 or sum(counts) < len(wanted))


if __name__ == '__main__':
    main()
