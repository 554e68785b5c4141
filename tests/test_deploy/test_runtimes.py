"""What runtimes leave in a process."""

import subprocess
import sys

import pytest

LET_GO = """
import gc, os, signal
import torch
from torch import nn
from mmsterf.deploy import compiled

x = torch.randn(1, 3, 8, 8)
first, second = (compiled(nn.Conv2d(3, 4, 3), 'openvino', x) for _ in range(2))
shapes = [tuple(model(x).shape) for model in (first, second)]
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGCHLD, lambda *_: print('handled'))
os.kill(os.getpid(), signal.SIGCHLD)
print(*shapes)
"""


def test_signals_are_handled_after_models_are_let_go():
    """Data loaders with processes have such a handler, and so has Ctrl-C."""
    pytest.importorskip('openvino')
    done = subprocess.run([sys.executable, '-c', LET_GO], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, (done.returncode, done.stderr[-500:])
    assert done.stdout.split('\n')[-3:-1] == ['handled', '(1, 4, 6, 6) (1, 4, 6, 6)']
