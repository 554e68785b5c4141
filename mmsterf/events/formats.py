"""Formats whose events can be reached one by one. Each function opens a file of one of them."""

import os
import zipfile
from typing import Callable

import numpy as np

from mmsterf.errors import InvalidInput

from .recordings import EVENT, Recording, reader

FIELDS = ('x', 'y', 't', 'p')


def events_of(x, y, t, p) -> np.ndarray:
    """Arrays (N,) as events; polarity is brighter above 0, so that -1 and 1, 0 and 1, and booleans do."""
    events = np.empty(len(t), EVENT)
    events['x'], events['y'], events['t'], events['p'] = x, y, t, np.asarray(p) > 0
    return events


def _part(path: str, dtype, begin: int, low: int, high: int) -> np.ndarray:
    """Records `low` to `high` of a file, read: pages of a mapped file would stay in memory."""
    return np.fromfile(path, dtype, high - low, offset=begin + low * np.dtype(dtype).itemsize)


def dat(path: str) -> Recording:
    """Prophesee's `.dat`: lines that begin with %, two bytes, records of 8 bytes."""
    prophesee = reader('evio.formats.prophesee', path)
    with open(path, 'rb') as stream:
        header = prophesee.read_header(stream)
        kind = stream.read(2)
        begin = stream.tell()
    if len(kind) < 2:
        raise InvalidInput(f'{path}: holds no events: the file ends with its header')
    if kind[0] not in (0, 12) or kind[1] != 8:
        raise InvalidInput(
            f'{path}: no .dat file of CD events: its header ends in event type {kind[0]} of {kind[1]} bytes; types 0 '
            'and 12 of 8 bytes are read'
        )
    count, left_over = divmod(os.path.getsize(path) - begin, 8)
    size = prophesee.sensor_size_from_meta(header)

    def read(low: int, high: int) -> np.ndarray:
        part = _part(path, prophesee.RAW_DTYPE, begin, low, high)
        load = part['payload']
        x, y = load & prophesee.X_MASK, load >> prophesee.Y_SHIFT & prophesee.Y_MASK
        return events_of(x, y, part['t'], load >> prophesee.P_SHIFT & 1)

    return Recording(path, count, read, size and size[::-1], left_over)


def nmnist(path: str) -> Recording:
    """N-MNIST's and N-Caltech101's `.bin` and `.bs2`: 5 bytes an event."""
    decode = reader('evio.formats.nmnist', path).decode
    count, left_over = divmod(os.path.getsize(path), 5)

    def read(low: int, high: int) -> np.ndarray:
        part = decode(_part(path, np.uint8, 0, 5 * low, 5 * high))
        return events_of(*(part[name] for name in FIELDS))

    return Recording(path, count, read, None, left_over)


def npy(path: str) -> Recording:
    """A structured array with fields x, y, t, p, in any order."""
    try:
        array = np.load(path, mmap_mode='r', allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InvalidInput(f'{path}: no array that can be read ({error})') from error
    return _of_fields(path, lambda name: array[name], array.dtype.names or (), array.dtype)


def npz(path: str) -> Recording:
    """Arrays x, y, t, p, or one structured array; packed, so that the whole file is read, once."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise InvalidInput(f'{path}: no arrays that can be read ({error})') from error
    if len(arrays) == 1 and next(iter(arrays.values())).dtype.names:
        array = next(iter(arrays.values()))
        return _of_fields(path, lambda name: array[name], array.dtype.names, array.dtype)
    return _of_fields(path, arrays.__getitem__, tuple(arrays))


def hdf5(path: str) -> Recording:
    """`events/x`, `y`, `t` and `p`, as DSEC has them, or x, y, t and p; `t_offset` is added to the times."""
    h5py = reader('h5py', path)
    reader('hdf5plugin', path)  # DSEC is packed with blosc
    try:
        file = h5py.File(path, 'r')
    except OSError as error:
        raise InvalidInput(f'{path}: no HDF5 file, or a damaged one ({error})') from error
    group = file.get('events', file)
    offset = int(file['t_offset'][()]) if 't_offset' in file else 0
    return _of_fields(path, group.__getitem__, tuple(group), offset=offset)


def _of_fields(path: str, get: Callable, names: tuple, dtype=None, offset: int = 0) -> Recording:
    missing = [name for name in FIELDS if name not in names]
    if missing:
        found = ', '.join(names) or f'none (an array of {dtype})'
        raise InvalidInput(f'{path}: events need the fields x, y, t and p; it has {found}')
    arrays = {name: get(name) for name in FIELDS}
    if len({array.shape for array in arrays.values()}) > 1 or arrays['t'].ndim != 1:
        shapes = ', '.join(f'{name} {tuple(array.shape)}' for name, array in arrays.items())
        raise InvalidInput(f'{path}: x, y, t and p must be of one length each, and the same; they are {shapes}')
    for name in ('x', 'y', 't'):
        if arrays[name].dtype.kind not in 'iu':
            unit = ', in microseconds' if name == 't' else ''
            raise InvalidInput(f'{path}: {name} is {arrays[name].dtype}; whole numbers are needed{unit}')

    def read(low: int, high: int) -> np.ndarray:
        events = events_of(*(np.asarray(arrays[name][low:high]) for name in FIELDS))
        events['t'] += offset
        return events

    return Recording(path, len(arrays['t']), read)
