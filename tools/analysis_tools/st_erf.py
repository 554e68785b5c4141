"""Spatio-temporal effective receptive fields of any mmdet, mmseg or mmsterf config.

    python tools/analysis_tools/st_erf.py CONFIG [CHECKPOINT] [CONFIG [CHECKPOINT] ...] [--help]

Writes maps.npz, metrics.json, metrics.csv and figures (PNG, PDF) to --out; with several configs, each into its own
folder below, and a comparison.
"""

import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.erf.command import main

if __name__ == '__main__':
    main()
