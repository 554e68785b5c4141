"""Ship a trained checkpoint: pack_weights.py CONFIG CHECKPOINT [--scalars FILE] writes weights/NAME.pth and .json.

Keeps the weights alone, matrices and kernels in half precision, and class names. The JSON beside it holds the SHA-256,
what made it, and the metrics over training from mmengine's scalars.json.
"""

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.engine import arguments, check_versions, command_line

FOLDER = Path(__file__).resolve().parents[2] / 'weights'
METRICS = ('coco/', 'mIoU', 'aAcc', 'mAcc')


def parse(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('config', help='config file; its name is that of the model')
    add('checkpoint', help='what its training wrote')
    add('--scalars', help='vis_data/scalars.json of the training')
    add('--command', default='', help='the command that trained it, to be written down')
    add('--out', type=arguments.file_name, help='folder (default weights)')
    add('--force', action='store_true', help='overwrite files')
    return parser.parse_args(argv)


def packed(state: dict) -> dict:
    """A state dict with matrices and kernels in half precision: what has one axis (norms, biases) stays as it is."""
    return {
        key: value.half() if value.is_floating_point() and value.dim() > 1 else value for key, value in state.items()
    }


def meta_of(checkpoint: dict, palette: Optional[Sequence]) -> dict:
    """Classes of a checkpoint, in the colours of the config or of `mmsterf.palette`: a training may have had others."""
    from mmsterf.checkpoint.io import data_set_meta
    from mmsterf.palette import class_colours

    meta = data_set_meta(checkpoint)['dataset_meta']
    colours = palette or class_colours(len(meta['classes']))
    return {'dataset_meta': {**meta, 'palette': [list(colour) for colour in colours]}}


def metrics_in(file: Path) -> list:
    """Validation metrics of a training, in their order; the first are those before it."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    found = [{key: value for key, value in line.items() if key.startswith(METRICS) or key == 'step'} for line in lines]
    return [line for line in found if len(line) > 1]


@command_line()
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line."""
    args = parse(argv)
    check_versions()
    from mmengine.registry import init_default_scope

    from mmsterf.checkpoint.io import read, state_dict_of, write
    from mmsterf.engine.config import load_config
    from mmsterf.engine.outputs import check_new_file
    from mmsterf.erf import replace_file
    from mmsterf.registry import MODELS

    cfg = load_config(args.config)
    folder = Path(args.out or FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f'{Path(args.config).stem}.pth'
    check_new_file('--out', file.with_suffix('.json'), args.force)
    checkpoint = read(args.checkpoint)
    state = packed(state_dict_of(checkpoint))
    init_default_scope(cfg.default_scope)
    MODELS.build(cfg.model).load_state_dict(state)  # complete, or it is refused
    palette = cfg.get('metainfo', {}).get('palette')
    write({'state_dict': state, 'meta': meta_of(checkpoint, palette)}, file, args.force)
    facts = {
        'file': file.name,
        'sha256': hashlib.sha256(file.read_bytes()).hexdigest(),
        'config': f'configs/{Path(args.config).name}',
        'command': args.command,
        'validation': metrics_in(Path(args.scalars)) if args.scalars else [],
    }
    text = json.dumps(facts, indent=1) + '\n'
    replace_file(file.with_suffix('.json'), lambda part: part.write_text(text))
    print(f'{file}: {file.stat().st_size / 1e6:.1f} MB, SHA-256 {facts["sha256"]}')


if __name__ == '__main__':
    main()
