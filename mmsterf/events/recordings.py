"""Recordings of event cameras, of which windows are read: cost goes with the window, not with the file.

`.dat` and `.bin` are parsed with evio, `.raw` with expelliarmus, AEDAT4 with aedat, HDF5 with h5py; none is imported
before it is needed.
"""

import importlib
from bisect import bisect_left
from collections.abc import Sequence
from typing import Callable, NamedTuple, Optional

import numpy as np

from mmsterf.errors import InvalidInput

EVENT = np.dtype([('x', '<i4'), ('y', '<i4'), ('t', '<i8'), ('p', 'u1')])
"""An event: column, row, microseconds, polarity (1 brighter, 0 darker)."""
SAMPLES = 64
"""Time stamps that are looked at when a recording is opened."""
MARGIN = 1000
"""Events before and behind a window that are read, too: an event may be as many places too early or too late."""


class Window(NamedTuple):
    """Events of a window.

    Attributes:
        events: (N,) of `EVENT`, in order of time.
        start: Microseconds; the first ones that belong to it.
        stop: Microseconds; the first ones that no longer do.
        unsorted: How many events stood before an earlier one in the file; they have been sorted.
    """

    events: np.ndarray
    start: int
    stop: int
    unsorted: int


class Recording:
    """A recording whose events lie in the file one by one, in order of time.

    Args:
        path: File.
        count: Number of events.
        read: Takes two indices, gives the events between them as (N,) of `EVENT`.
        size: (height, width) of the sensor where the file says it.
        left_over: Bytes at the end that are no whole event.

    Raises:
        InvalidInput: If it has no events, or time stamps that start anew.
    """

    def __init__(
        self,
        path: str,
        count: int,
        read: Callable[[int, int], np.ndarray],
        size: Optional[tuple] = None,
        left_over: int = 0,
    ) -> None:
        self.path, self.count, self.size, self.left_over = path, count, size, left_over
        self._read = read
        if not count:
            raise InvalidInput(f'{path}: holds no events')
        self.first, self.last = (int(read(i, i + 1)['t'][0]) for i in (0, count - 1))
        if self.last < self.first:
            raise InvalidInput(
                f'{path}: time goes back, from {self.first} us at its begin to {self.last} us at its end; is the '
                'counter of its time stamps too small? Cut it there'
            )
        self._check_order()

    def _samples(self) -> tuple:
        """Places of some events, and their time stamps."""
        places = np.unique(np.linspace(0, self.count - 1, SAMPLES).astype(np.int64))
        return places, np.array([self._read(i, i + 1)['t'][0] for i in places])

    def _check_order(self) -> None:
        """Refuse time stamps that start anew in between, or are in no order; of a small disorder, windows tell."""
        places, times = self._samples()
        steps = np.diff(times)
        if len(steps) and steps.min() < -(times.max() - times.min()) / 2:
            at = int(steps.argmin())
            raise InvalidInput(
                f'{self.path}: time goes back, from {times[at]} us (event {places[at]}) to {times[at + 1]} us (event '
                f'{places[at + 1]}); is the counter of its time stamps too small? Cut it there'
            )

    def span(self, end: Optional[int] = None, duration: Optional[int] = None) -> tuple:
        """Begin and end of a window, microseconds; arguments and errors as of `window`."""
        stop = self.last + 1 if end is None else int(end)
        start = min(self.first, stop - 1) if duration is None else stop - int(duration)
        if start >= stop:
            raise InvalidInput(f'{self.path}: a window of {duration} us; it must be above 0')
        if stop <= self.first or start > self.last:
            raise InvalidInput(
                f'{self.path}: a window from {start} to {stop} us, but the recording is of {self.first} to '
                f'{self.last} us'
            )
        return start, stop

    def window(self, end: Optional[int] = None, duration: Optional[int] = None) -> Window:
        """Events with ``end - duration <= t < end``; what lies before the begin of a recording is empty.

        Args:
            end: Microseconds; the end of the recording, its last event included, by default.
            duration: Microseconds; everything up to `end` by default.

        Raises:
            InvalidInput: If duration is not above 0, or the recording has ended before the window begins, or begins
                after it ends.
        """
        start, stop = self.span(end, duration)
        events = self._between(start, stop)
        back = np.diff(events['t']) < 0
        if back.any():
            events = events[np.argsort(events['t'], kind='stable')]
        return Window(events, start, stop, int(back.sum()))

    def _between(self, start: int, stop: int) -> np.ndarray:
        times = _Times(self)
        low = bisect_left(times, start)
        high = bisect_left(times, stop, lo=low)
        # Some more, for events that are out of order.
        events = self._read(max(low - MARGIN, 0), min(high + MARGIN, self.count))
        return events[(events['t'] >= start) & (events['t'] < stop)]


class _Times(Sequence):
    """Time stamps of a recording, read one by one."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording

    def __len__(self) -> int:
        return self.recording.count

    def __getitem__(self, i: int) -> int:
        return int(self.recording._read(i, i + 1)['t'][0])


def reader(name: str, path: str):
    """A reader package, or one sentence on how to get it."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.partition('.')[0]:
            raise
        raise ModuleNotFoundError(
            f"{path} is read with {error.name}, which is not installed: pip install 'mmsterf[events]'", name=error.name
        ) from None
