"""See what a model will be trained on: browse.py CONFIG [--out FILE] [--num 12] [--help].

Draws training pictures, or windows of events, as they leave the pipeline, augmented, with their boxes, masks, label
maps or classes, into one sheet (PNG). What comes behind the pipeline is not shown: normalisation, and mixing of a
batch's images.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from mmsterf.engine import arguments, check_versions, command_line
from mmsterf.engine.cfg_options import add_cfg_options


def parse(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add('config', type=arguments.file_name, help='config file, or mmdet::... of an installed package')
    add('--out', type=arguments.file_name, help='PNG file (default: work_dirs/browse/CONFIG.png)')
    add('--num', type=arguments.whole(1, 400), default=12, help='pictures, evenly spread over the set (default 12)')
    add('--split', choices=('train', 'val', 'test'), default='train', help='data set to see (default train)')
    add('--seed', type=arguments.seed, default=0, help='of the augmentation (default 0)')
    add('--force', action='store_true', help='overwrite --out')
    add_cfg_options(parser)
    return parser.parse_args(argv)


@command_line()
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line."""
    args = parse(argv)
    check_versions(one_task=True)
    from mmengine.runner import set_random_seed
    from PIL import Image
    from tqdm import tqdm

    from mmsterf.engine.config import load_config
    from mmsterf.engine.data import check_data
    from mmsterf.engine.data_checks import check_contents, dataset_class, named_palette, refuse
    from mmsterf.engine.dataset_parts import dataset_leaves, event_step
    from mmsterf.engine.outputs import check_new_file
    from mmsterf.engine.settings import check_loader
    from mmsterf.erf import replace_file
    from mmsterf.errors import InvalidInput

    out = Path(args.out or Path('work_dirs/browse', f'{Path(args.config).stem}.png'))
    if out.suffix.lower() != '.png':
        raise InvalidInput(f'--out {out}: must end in .png')
    check_new_file('--out', out, args.force)
    cfg = load_config(args.config, args.cfg_options)
    name = f'{args.split}_dataloader'
    if not cfg.get(name):
        raise InvalidInput(f'{args.config} has no {name}')
    check_loader(cfg[name], name)
    check_data(cfg, (args.split,))
    refuse(check_contents(cfg, (args.split,)))
    from mmsterf.inference.sheet import drawn, sheet, training_set

    step = event_step(cfg, args.split)
    dataset = training_set(cfg, args.split)
    set_random_seed(args.seed)
    num = min(args.num, len(dataset))
    leaf = next(dataset_leaves(cfg[name].dataset))
    palette = named_palette(leaf, dataset_class(leaf, cfg.default_scope))
    cells = tqdm(drawn(dataset, cfg.default_scope, num, step, palette), total=num, desc='browse', unit='image')
    cells = list(cells)
    picture = Image.fromarray(sheet(cells))
    replace_file(out, lambda part: picture.save(part, 'PNG'))
    print(f'{out}: {num} of {len(dataset)} pictures, {picture.width} x {picture.height} pixels')


if __name__ == '__main__':
    main()
