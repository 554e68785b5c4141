"""Parameters of configs, in millions: count_parameters.py CONFIG [CONFIG ...]; nothing is allocated."""

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.engine import check_versions, exit_on_error


def main() -> None:
    """Print a Markdown table: config, backbone, whole model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('configs', nargs='+', metavar='CONFIG')
    args = parser.parse_args()
    with exit_on_error():
        check_versions()
        import torch

        from mmsterf.engine.config import load_config
        from mmsterf.registry import MODELS

        print('| config | backbone | model |\n|---|---|---|')
        for path in args.configs:
            with torch.device('meta'):
                model = MODELS.build(load_config(path).model)
            backbone, whole = (sum(p.numel() for p in module.parameters()) / 1e6 for module in (model.backbone, model))
            print(f'| {Path(path).stem} | {backbone:.3f} | {whole:.3f} |', flush=True)


if __name__ == '__main__':
    main()
