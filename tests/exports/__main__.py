"""Export every config: python tests/exports [--only PART] [--formats onnx openvino]

Models of all files in configs/ that have one, made small (narrow, one block a stage, two time steps where there are
several), random weights, folded, at 64x96 pixels with free sides. Each of a model's networks is exported and run at two
other sizes. Prints a line for each config: the largest difference from PyTorch, or why it is refused; the last line is
the number. A config that fails in any other way ends in exit status 1.
"""

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(1, str(Path(__file__).resolve().parents[2]))
sys.path.insert(1, str(Path(__file__).resolve().parents[1] / 'test_deploy'))

import torch
from small_models import ROOT, build, config

from mmsterf.deploy import FORMATS, export_program, networks, prepared, runtime, write
from mmsterf.deploy.parts import dense_head
from mmsterf.deploy.running import difference
from mmsterf.deploy.runtimes import backend_of
from mmsterf.errors import InvalidInput

SIZES = ((3, 64, 96), (1, 96, 64), (2, 50, 70))
"""Images, height and width: what is exported, and what is run besides."""
LARGEST = 1e-4


def names() -> list:
    """Configs with a model, below configs/ and without the ending."""
    folder = ROOT / 'configs'
    files = (file.relative_to(folder) for file in folder.rglob('*.py'))
    return sorted(str(f.with_suffix('')) for f in files if f.parts[0] not in ('_base_', 'study'))


def export(network, kind: str, folder: Path, regions: bool) -> float:
    """Export a network and run it; returns the largest difference from PyTorch, at all sizes.

    Args:
        network (Network): Of whole images, or of a RoI head.
        kind (str): A format.
        folder (Path): For the file.
        regions (bool): Whether it is a RoI head.
    """
    inputs = [network.example(n) if regions else network.example(n, size) for n, *size in SIZES]
    program = export_program(network.eval(), inputs[0], 'batch' if regions else 'size')
    file = write(program, kind, folder / f'network{FORMATS[kind]}')
    run = runtime(file, backend_of(file))
    with torch.no_grad():
        return max(difference([torch.from_numpy(v) for v in run(x.numpy())], network(x)) for x in inputs)


def sweep(name: str, kind: str) -> str:
    """Export all networks of a config; returns what came out, a sentence that begins with 'refused' if nothing did."""
    torch.manual_seed(0)
    model = prepared(build(config(name)))
    try:
        parts = networks(model, 'model', SIZES[0][1:])
        with TemporaryDirectory() as folder:
            worst = max(export(part, kind, Path(folder), bool(key)) for key, part in parts.items())
    except InvalidInput as error:
        return f'refused: {error}'
    if not worst <= LARGEST:
        raise ValueError(f'{name}: {kind} differs from PyTorch by {worst:.2g}')
    return f'{len(parts)} network{"s" * (len(parts) > 1)} to {dense_head(model)}, {worst:.1e}'


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--only', default='', help='configs whose names have this part')
    parser.add_argument('--formats', nargs='+', choices=('onnx', 'openvino'), default=['onnx', 'openvino'])
    args = parser.parse_args()
    done = refused = 0
    for name in names():
        if args.only not in name:
            continue
        for kind in args.formats:
            found = sweep(name, kind)
            refused += found.startswith('refused')
            done += not found.startswith('refused')
            print(f'{name} {kind}: {found}', flush=True)
    print(f'{done} exported, {refused} refused')


if __name__ == '__main__':
    main()
