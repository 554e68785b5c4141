"""Events of a window as time steps of maps."""

from typing import Optional

import numpy as np

from mmsterf.errors import InvalidInput

REPRESENTATIONS = ('count', 'binary', 'voxel')


def to_steps(
    events: np.ndarray,
    start: int,
    stop: int,
    size: tuple,
    time_steps: int,
    representation: str = 'count',
    signed: bool = False,
    bins: int = 1,
    clip: Optional[float] = None,
    scale: Optional[float] = None,
) -> np.ndarray:
    """Sum events into maps.

    A window is cut into time_steps * bins equal parts. 'count': events in each. 'binary': whether there are any.
    'voxel': each event is shared by the two points in time next to it, of time_steps * bins from the first to the last
    moment, in proportion (bilinear; Zhu et al., Unsupervised event-based learning of optical flow, depth and egomotion,
    CVPR 2019, section 3.1). Sums are exact: of 'count' and 'voxel', over everything, the number of events.

    Args:
        events: (N,) of `EVENT`, all inside the sensor.
        start: Begin of the window, microseconds.
        stop: Its end; no event is as late.
        size: Height and width of the sensor.
        time_steps: T.
        representation: One of `REPRESENTATIONS`.
        signed: One map of brighter minus darker events, instead of a map each (darker first). 'binary' then has the
            sign of the sum.
        bins: Parts of each time step, each with maps of its own.
        clip: Largest value, of either sign, after summing.
        scale: Values are divided by it at the end.

    Returns:
        float32 (T, C, H, W), C = bins * (1 if signed else 2); of bins, the earlier first.

    Raises:
        InvalidInput: For values that are none of these.
    """
    if representation not in REPRESENTATIONS:
        raise InvalidInput(f'representation={representation!r}: one of {", ".join(REPRESENTATIONS)}')
    for name, value in (('time_steps', time_steps), ('bins', bins)):
        if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 1:
            raise InvalidInput(f'{name}={value!r}: a whole number of at least 1')
    for name, value in (('clip', clip), ('scale', scale)):
        if value is not None and not value > 0:
            raise InvalidInput(f'{name}={value!r}: a number above 0, or None')
    height, width = size
    parts, polarities = time_steps * bins, 1 if signed else 2
    shape = (parts, polarities, height, width)
    channel = 0 if signed else events['p'].astype(np.int64)
    sign = np.where(events['p'] > 0, 1.0, -1.0) if signed else np.ones(len(events))
    pixel = (channel * height + events['y']) * width + events['x']
    step, length = polarities * height * width, int(np.prod(shape))
    since = events['t'].astype(np.int64) - start
    if representation == 'voxel' and parts > 1:
        # The last moment of a window is the one before its end.
        moment = since * (parts - 1) / max(stop - 1 - start, 1)
        before = np.minimum(moment.astype(np.int64), parts - 2)
        late = moment - before
        maps = np.bincount(before * step + pixel, sign * (1 - late), length)
        maps += np.bincount((before + 1) * step + pixel, sign * late, length)
    else:
        # In whole numbers: no event falls into another part by rounding.
        maps = np.bincount(since * parts // (stop - start) * step + pixel, sign, length)
    maps = maps.reshape(time_steps, bins * polarities, height, width)
    maps = np.sign(maps) if representation == 'binary' else maps
    maps = maps if clip is None else np.clip(maps, -clip, clip)
    return (maps if scale is None else maps / scale).astype(np.float32)
