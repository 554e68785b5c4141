"""A sample of the fuzz suite; `make fuzz` runs all of it."""

import os
import re
import subprocess
import sys
from pathlib import Path

from harness import ROOT
from suite import KINDS, all_cases

PASS_RATE = 0.97


def test_cases_are_many_and_different():
    cases = all_cases()
    assert len(cases) >= 400
    assert len({(case.name, case.tool, tuple(case.arguments)) for case in cases}) == len(cases)
    for kind in KINDS:
        assert len(list(kind())) >= 10, kind.__name__


def test_a_sample_ends_in_one_line_each():
    env = {**os.environ, 'PYTHONPATH': str(ROOT)}
    command = [sys.executable, '-W', 'ignore', str(Path(__file__).parent), '--sample', '100']
    command += ['--at-least', str(PASS_RATE)]
    run = subprocess.run(command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    said = [line for line in run.stdout.splitlines() if line.startswith(('failed: ', 'fuzz: '))]
    passed, count = map(int, re.match(r'fuzz: (\d+) of (\d+) passed', said[-1]).groups())
    assert count >= 90 and passed >= PASS_RATE * count and run.returncode == 0, '\n'.join(said)
