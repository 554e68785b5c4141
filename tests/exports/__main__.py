"""Export every config: python tests/exports [--only PART] [--formats onnx openvino] [--out FOLDER [--again failed]]

Models of all files in configs/ that have one, made small (narrow, one block a stage, two time steps where there are
several), random weights, folded, at 64x96 pixels with free sides. Each of a model's networks is exported and run at two
other sizes. Random weights put counts on edges, where rounding alone decides (mmsterf/deploy/comparing.py): inputs are
drawn anew until the network agrees with PyTorch to 1e-4 at each size, and those before are compared count by count: all
that differ must lie on an edge. Prints a line for each config; the last line has the numbers. Exit status 1 if a config
fails; the others are exported all the same. With --out, results are kept in FOLDER/exports.jsonl with their commit: a
later run goes on where one stopped.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(1, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / 'test_deploy'))

import torch
from small_models import ROOT, build, config

from mmsterf.deploy import FORMATS, count_by_count, export_program, networks, prepared, runtime, write
from mmsterf.deploy.comparing import difference
from mmsterf.deploy.exporting import check_free
from mmsterf.deploy.runtimes import backend_of

SIZES = ((3, 64, 96), (1, 96, 64), (2, 50, 70))
"""Images, height and width: what is exported, and what is run besides."""
LARGEST = 1e-4
KINDS = ('exported', 'failed')
TRIES = 20
"""Inputs of each size, of which one must have no count on an edge: about every second has none."""


@dataclass
class Found:
    """What networks have in common with PyTorch.

    Args:
        difference (float): The largest, of inputs without counts on an edge.
        inputs (int): Compared.
        odd (int): Inputs with counts on an edge.
        edges (int): These counts.
    """

    difference: float = 0.0
    inputs: int = 0
    odd: int = 0
    edges: int = 0

    def __add__(self, other: 'Found') -> 'Found':
        sums = (getattr(self, key) + getattr(other, key) for key in ('inputs', 'odd', 'edges'))
        return Found(max(self.difference, other.difference), *sums)

    def __str__(self) -> str:
        return f'{self.difference:.1e}; {self.odd} of {self.inputs} inputs with counts on an edge, {self.edges} in all'


def names() -> list:
    """Configs with a model, below configs/ and without the ending."""
    folder = ROOT / 'configs'
    files = (file.relative_to(folder) for file in folder.rglob('*.py'))
    return sorted(str(f.with_suffix('')) for f in files if f.parts[0] not in ('_base_', 'study'))


def export(network, kind: str, folder: Path, regions: bool) -> Found:
    """Export a network and run it at all sizes.

    Args:
        network (Network): Of whole images, or of a RoI head.
        kind (str): A format.
        folder (Path): For the file.
        regions (bool): Whether it is a RoI head.

    Raises:
        ValueError: If it differs from PyTorch for all inputs of a size, or for one for another reason than edges.
    """
    first, *others = ((n,) if regions else (n, size) for n, *size in SIZES)
    example, free = network.example(*first), 'batch' if regions else 'size'
    program = export_program(network.eval(), example, free)
    check_free(program, free)
    file = write(program, kind, folder / f'network{FORMATS[kind]}')
    run = runtime(file, backend_of(file))
    found, odd = Found(), []
    for shape in (first, *others):
        for _ in range(TRIES):
            x = network.example(*shape)
            with torch.no_grad():
                value = difference([torch.from_numpy(v) for v in run(x.numpy())], network(x))
            found.inputs += 1
            if value <= LARGEST:
                found.difference = max(found.difference, value)
                break
            odd.append(x)
        else:
            raise ValueError(f'differs from PyTorch for each of {TRIES} inputs {shape}, by {value:.2g} for the last')
    for counts in count_by_count(network, [example, *odd], backend_of(file), free)[1:] if odd else ():
        if not counts.explains(LARGEST):
            raise ValueError(f'differs from PyTorch: {counts}')
        found += Found(0.0, 0, 1, counts.edges)
    return found


def sweep(name: str, kind: str) -> Found:
    """Export all networks of a config."""
    torch.manual_seed(0)
    model = prepared(build(config(name)))
    with TemporaryDirectory() as folder:
        parts = networks(model, 'model', SIZES[0][1:]).items()
        return sum((export(part, kind, Path(folder), bool(key)) for key, part in parts), Found())


def result(name: str, kind: str, commit: str) -> dict:
    """Export all networks of a config, whatever happens; returns a line of the file of results."""
    row = {'config': name, 'format': kind, 'kind': 'exported', 'commit': commit}
    try:
        return row | asdict(sweep(name, kind))
    except Exception as error:
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), '')
        return row | {'kind': 'failed', 'text': f'{type(error).__name__}: {first}'}


def found_in(row: dict) -> Found:
    """The numbers of a line of the file of results."""
    return Found(**{key: row[key] for key in asdict(Found())})


def commit_here() -> str:
    """The commit of this checkout, with a mark if files differ from it."""
    command = ['git', '-C', str(ROOT), 'describe', '--always', '--dirty', '--exclude=*']
    done = subprocess.run(command, text=True, capture_output=True)
    return done.stdout.strip() or 'unknown'


def main() -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add('--only', default='', help='configs whose names have this part')
    add('--formats', nargs='+', choices=('onnx', 'openvino'), default=['onnx', 'openvino'])
    add('--out', type=Path, help='folder where results are kept, and where a run goes on')
    add('--again', nargs='+', default=[], choices=KINDS, help='export those that ended so once more')
    add('--minutes', type=float, default=1e9, help='stop after this many; the next run goes on')
    args = parser.parse_args()
    wanted = [(name, kind) for name in names() if args.only in name for kind in args.formats]
    kept, done = args.out and args.out / 'exports.jsonl', {}
    if kept and kept.exists():
        rows = map(json.loads, kept.read_text().splitlines())
        done = {(row['config'], row['format']): row for row in rows}
    commit, end = commit_here(), time.monotonic() + args.minutes * 60
    for key in [key for key in wanted if key not in done or done[key]['kind'] in args.again]:
        if time.monotonic() > end:
            print('out of time: run again to go on')
            break
        row = done[key] = result(*key, commit)
        if kept:
            args.out.mkdir(parents=True, exist_ok=True)
            with kept.open('a') as file:
                file.write(json.dumps(row) + '\n')
        print(*key, end=': ')
        print(found_in(row) if row['kind'] == 'exported' else f'failed: {row["text"]}', flush=True)
    rows = [done[key] for key in wanted if key in done]
    good = [found_in(row) for row in rows if row['kind'] == 'exported']
    commits = ', '.join(f'{number} at {commit}' for commit, number in Counter(row['commit'] for row in rows).items())
    print(
        f'{len(wanted)} exports ({commits}): {len(good)} exported, {len(rows) - len(good)} failed; '
        f'largest difference {sum(good, Found())}'
    )
    return len(good) < len(wanted)


if __name__ == '__main__':
    sys.exit(main())
