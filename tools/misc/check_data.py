"""Read all data of a config and tell what is in it, and what is wrong: check_data.py CONFIG [--help]."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.engine import arguments, check_versions, command_line
from mmsterf.engine.cfg_options import add_cfg_options
from mmsterf.errors import InvalidInput

SPLITS = ('train', 'val', 'test')


@command_line()
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Print what each data set holds; status 1 with an `error:` line if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', type=arguments.file_name, help='config file')
    parser.add_argument('--split', nargs='+', choices=SPLITS, help='splits to read, all of the config by default')
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    check_versions()
    from mmsterf.engine.config import load_config
    from mmsterf.engine.data import check_data
    from mmsterf.engine.data_checks import check_contents, described
    from mmsterf.engine.settings import check_loader

    cfg = load_config(args.config, args.cfg_options)
    there = [split for split in SPLITS if cfg.get(f'{split}_dataloader')]
    splits = args.split or there
    if lacking := [split for split in splits if split not in there]:
        raise InvalidInput(f'--split {lacking[0]}: {args.config} has no {lacking[0]}_dataloader; it has {there}')
    if not splits:
        raise InvalidInput(f'{args.config} has no train_dataloader, val_dataloader or test_dataloader')
    for split in splits:
        check_loader(cfg[f'{split}_dataloader'], f'{split}_dataloader')
    check_data(cfg, splits)
    reports = check_contents(cfg, splits, whole=True)
    for report in reports:
        print(described(report))
    errors = [(report, finding) for report in reports for finding in report.errors]
    if errors:
        kinds = f'{len(errors)} kinds of errors' if len(errors) > 1 else 'one kind of error'
        raise InvalidInput(f'{args.config}: {kinds}, listed above; {errors[0][0].name}: {errors[0][1]}')


if __name__ == '__main__':
    main()
