"""Parameters of configs, in millions: count_parameters.py CONFIG [CONFIG ...]; nothing is allocated."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.engine import check_versions, command_line
from mmsterf.errors import InvalidInput


@command_line()
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Print a Markdown table: config, backbone, whole model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('configs', nargs='+', metavar='CONFIG')
    args = parser.parse_args(argv)
    check_versions()
    from mmsterf.analysis.sizes import without_memory
    from mmsterf.engine.config import load_config

    print('| config | backbone | model |\n|---|---|---|')
    for path in args.configs:
        cfg = load_config(path)
        if not isinstance(cfg.get('model'), dict):
            raise InvalidInput(f'{path} has no `model`')
        model = without_memory(cfg)
        parts = getattr(model, 'backbone', None), model
        backbone, whole = (f'{sum(p.numel() for p in m.parameters()) / 1e6:.3f}' if m else '' for m in parts)
        print(f'| {Path(path).stem} | {backbone} | {whole} |', flush=True)


if __name__ == '__main__':
    main()
