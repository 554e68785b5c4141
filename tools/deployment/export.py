"""Export a detector, segmentor or backbone: export.py CONFIG [CHECKPOINT] --format onnx|openvino|torch [--help].

Folds the model, writes the network with a JSON beside it that says how to feed it, runs both, and prints the largest
difference of their outputs. Where they differ by more than 1e-4, what each neuron fires is compared: counts on an edge,
where rounding decides, are counted; anything else is an error.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.engine import arguments, check_versions, command_line
from mmsterf.engine.cfg_options import add_cfg_options

EXAMPLES = """examples:
  export.py configs/semantic_fpn_sdt_mlpixer_digits.py iter_4000.pth --format onnx --size 80 80 --dynamic
  export.py configs/mask_rcnn_sdt_mlpixer_digits.py iter_1500.pth --format openvino --part model --size 160 160
"""
LARGEST_DIFFERENCE = 1e-4


def parse(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('config', help='config file, or mmdet::... of an installed package')
    add('checkpoint', nargs='?', help='weights; random ones without it')
    add('--format', required=True, choices=('onnx', 'openvino', 'torch'), help='torch is torch.export')
    add(
        '--part', choices=('backbone', 'features', 'dense', 'model'), default='model', help='what of it (default model)'
    )
    add('--size', type=arguments.side, nargs=2, metavar=('H', 'W'), default=[224, 224], help='default 224 224')
    add('--dynamic', action='store_true', help='leave the number of images, height and width free')
    add('--out', type=arguments.file_name, help='file (default: work_dirs/export/CONFIG with the ending of the format)')
    add('--force', action='store_true', help='overwrite files')
    add('--seed', type=arguments.seed, default=0, help='of random weights and inputs (default 0)')
    add_cfg_options(parser)
    return parser.parse_args(argv)


@command_line()
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line."""
    args = parse(argv)
    check_versions()
    import torch

    from mmsterf.analysis.loading import load_model
    from mmsterf.deploy import check_backend, networks, prepared
    from mmsterf.deploy.exporting import FORMATS
    from mmsterf.deploy.runtimes import backend_of
    from mmsterf.engine.outputs import check_new_file
    from mmsterf.errors import InvalidInput

    ending = FORMATS[args.format]
    check_backend(backend_of(Path(f'x{ending}')))
    out = Path(args.out or Path('work_dirs/export', Path(args.config).stem + ending))
    if out.suffix != ending:
        raise InvalidInput(f'--out {out}: files of --format {args.format} end in {ending}')
    cfg, model = load_model(args.config, args.checkpoint, args.seed, args.cfg_options)
    parts = networks(prepared(model), args.part, tuple(args.size))
    files = {name: out.with_name(f'{out.stem}_{name}{ending}') if name else out for name in parts}
    for file in files.values():
        check_new_file('--out', file, args.force)
        check_new_file('--out', file.with_suffix('.json'), args.force)
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(args.seed)
    wrong = [text for name, network in parts.items() if (text := _export(network, files[name], args, cfg, name))]
    if wrong:
        raise InvalidInput(f'{"; ".join(wrong)}; the files are kept to look at')


def _export(network, file: Path, args: argparse.Namespace, cfg, name: str) -> str:
    """Write one network and its description, and compare it with PyTorch; returns what is wrong with it, or ''."""
    import numpy as np
    import torch

    from mmsterf.deploy import count_by_count, export_program, runtime, write
    from mmsterf.deploy.description import describe
    from mmsterf.deploy.exporting import check_free
    from mmsterf.deploy.runtimes import backend_of
    from mmsterf.erf import replace_file

    dynamic = 'batch' if name else 'size' if args.dynamic else 'none'
    example = network.example(1 if dynamic == 'none' else 2)
    with torch.no_grad():
        expected = [value.numpy() for value in network(example)]
    facts = describe(network, expected, name, args.part, dynamic, args.config, args.checkpoint, cfg)
    program = export_program(network, example, dynamic)
    check_free(program, dynamic)
    write(program, args.format, file, [output['name'] for output in facts['outputs']])
    text = json.dumps(facts, indent=1) + '\n'
    replace_file(file.with_suffix('.json'), lambda part: part.write_text(text))
    found = runtime(file, backend_of(file))(example.numpy())
    worst = max(float(np.abs(a - b).max()) / max(1.0, float(np.abs(b).max())) for a, b in zip(found, expected))
    print(f'{file}: {len(found)} outputs, largest difference from PyTorch {worst:.2g}', flush=True)
    if worst <= LARGEST_DIFFERENCE:
        return ''
    (counts,) = count_by_count(network.eval(), [example], backend_of(file), dynamic)
    print(f'{file}: {counts}', flush=True)
    if counts.explains(LARGEST_DIFFERENCE):
        return ''
    return f'{file.name} differs from PyTorch by {worst:.2g}, more than {LARGEST_DIFFERENCE} ({counts})'


if __name__ == '__main__':
    main()
