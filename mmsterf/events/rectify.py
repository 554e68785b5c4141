"""Events in the rectified view of a camera."""

import functools

import numpy as np

from mmsterf.errors import InvalidInput

from .recordings import reader


@functools.lru_cache(maxsize=64)
def _rectify_map(path: str) -> np.ndarray:
    h5py = reader('h5py', path)
    reader('hdf5plugin', path)
    try:
        with h5py.File(path, 'r') as file:
            found = file['rectify_map'][()]
    except (OSError, KeyError) as error:
        raise InvalidInput(f'{path}: has no `rectify_map` that can be read ({error})') from error
    if found.ndim != 3 or found.shape[2] != 2:
        raise InvalidInput(f'{path}: `rectify_map` is of shape {found.shape}; it must be (H, W, 2), x and y')
    return np.round(found).astype(np.int32)


def rectified(events: np.ndarray, path: str) -> np.ndarray:
    """Events (N,) where they go in the rectified view, to the next pixel, by a file as DSEC's `rectify_map.h5`.

    Raises:
        InvalidInput: If there is no such map in it, or events lie outside it.
    """
    places = _rectify_map(path)
    inside = (events['x'] >= 0) & (events['x'] < places.shape[1]) & (events['y'] >= 0) & (events['y'] < places.shape[0])
    if not inside.all():
        rows, columns = places.shape[:2]
        outside = int((~inside).sum())
        raise InvalidInput(f'{path}: {outside} events lie outside its {rows} rows and {columns} columns')
    events = events.copy()
    events['x'], events['y'] = places[events['y'], events['x']].T
    return events
