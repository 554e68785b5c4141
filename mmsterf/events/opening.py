"""Opens recordings of all formats."""

import functools
import os

from mmsterf.errors import InvalidInput

from . import aedat, formats, raw
from .recordings import Recording

SUFFIXES = ('.dat', '.raw', '.npy', '.npz', '.h5', '.hdf5', '.bin', '.bs2', '.aedat4')


def is_recording(path: str) -> bool:
    """Whether a file is an event recording, by its suffix."""
    return path.lower().endswith(SUFFIXES)


def open_recording(path: str) -> Recording:
    """Open a recording by its suffix, one of `SUFFIXES`; the last few stay open, unless their files change.

    Raises:
        InvalidInput: If it is not there, of another suffix, or not what its suffix says.
        ModuleNotFoundError: If the package is absent that reads it.
    """
    path = os.fspath(path)
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in SUFFIXES:
        raise InvalidInput(f'{path}: no recording of events by its name; {", ".join(SUFFIXES)} are read')
    if not os.path.isfile(path):
        raise InvalidInput(f'{path}: is not there' if not os.path.isdir(path) else f'{path}: is a folder')
    state = os.stat(path)
    return _open(path, suffix, state.st_mtime_ns, state.st_size)


@functools.lru_cache(maxsize=16)
def _open(path: str, suffix: str, *_) -> Recording:
    opener = {'.dat': formats.dat, '.raw': raw.raw, '.npy': formats.npy, '.npz': formats.npz, '.aedat4': aedat.aedat}
    opener = opener.get(suffix) or (formats.nmnist if suffix in ('.bin', '.bs2', '.aedat4') else formats.hdf5)
    return opener(path)
