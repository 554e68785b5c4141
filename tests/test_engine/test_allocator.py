"""Freed memory is kept for the next step."""

import platform
import resource

import numpy as np
import pytest

from mmsterf.engine.allocator import keep_freed_memory


def _faults(size: int) -> int:
    """Pages that the kernel hands out for a map that is taken, used and freed."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.empty(size, np.uint8).fill(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != 'glibc', reason='a setting of glibc')
def test_a_second_map_takes_no_new_pages():
    assert keep_freed_memory()
    size = 96 * 2**20
    _faults(size)
    assert _faults(size) < 20  # numpy asks for huge pages: 48 of them are new otherwise


def test_other_libraries_are_left_alone(monkeypatch):
    monkeypatch.setattr(platform, 'libc_ver', lambda: ('', ''))
    assert keep_freed_memory() is False
