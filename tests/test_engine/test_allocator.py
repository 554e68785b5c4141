"""Freed memory is kept for the next step."""

import platform
import subprocess
import sys

import pytest

from mmsterf.engine.allocator import keep_freed_memory

FAULTS = """
import resource
import numpy as np
from mmsterf.engine.allocator import keep_freed_memory

def faults(size):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(size, np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

assert keep_freed_memory()
print(faults(96 * 2**20), faults(96 * 2**20))
"""
"""Pages that the kernel hands out for a map that is taken, used and freed, twice."""


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='a setting of glibc')
def test_a_second_map_takes_no_new_pages():
    """In a process of its own: the setting cannot be taken back, and all later tests would hold what they freed."""
    done = subprocess.run([sys.executable, '-c', FAULTS], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    _, second = map(int, done.stdout.split())
    assert second < 20  # numpy asks for huge pages: 48 of them are new otherwise


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(platform, 'libc_ver', lambda: ('', ''))
    assert keep_freed_memory() is False
