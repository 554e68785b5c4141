"""Train a detection or segmentation config: tools/train.py CONFIG [--help]."""

import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from mmsterf.engine import check_versions, command_line


@command_line()
def main() -> None:
    """Check the installed packages before they are imported, then hand over."""
    check_versions()
    from mmsterf.engine.cli import train

    train()


if __name__ == '__main__':
    main()
