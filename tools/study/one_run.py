"""Train and measure one run of a study: one_run.py FOLDER, which run.py has put a run.json into.

Leaves FOLDER/result.json. Started again after a kill, it goes on from the last checkpoint.
"""

import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.engine import check_versions, command_line


@command_line('finished runs are kept')
def main() -> None:
    """Check the installed packages before they are imported, then run."""
    check_versions()
    from mmsterf.study.training import run_one

    run_one(Path(sys.argv[1]))


if __name__ == '__main__':
    main()
