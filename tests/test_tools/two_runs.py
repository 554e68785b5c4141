"""Two runs in one process: CONFIG FOLDER trains into FOLDER/train and tests with pictures in FOLDER/pictures."""

import sys
from pathlib import Path

from mmsterf.engine.cli import test, train

config, folder = sys.argv[1], Path(sys.argv[2])
train([config, '--work-dir', str(folder / 'train')])
(checkpoint,) = (folder / 'train').glob('iter_6.pth')
test([config, str(checkpoint), '--work-dir', str(folder / 'test'), '--show-dir', str(folder / 'pictures')])
