"""Prophesee's `.raw` (EVT2, EVT3), whose words only make sense one after the other.

The first window makes a pass over the file, with the memory of one chunk, and keeps the decoder's state at every chunk;
later windows begin at the state before them.
"""

import re
from bisect import bisect_right

import numpy as np

from mmsterf.errors import InvalidInput

from .formats import events_of
from .recordings import EVENT, Recording, reader

CHUNK = 100_000
"""Events between two states that are kept."""
_HEADER = 65536


def raw(path: str) -> 'RawRecording':
    """Open a `.raw` file by the version that its header names."""
    with open(path, 'rb') as stream:
        lines = [line for line in stream.read(_HEADER).split(b'\n') if line.startswith(b'%')]
    header = b'\n'.join(lines).decode('utf-8', 'replace')
    version = re.search(r'(?m)^% *(?:evt +|format +EVT)(\d+(?:\.\d+)?)', header, re.I)
    versions = {'2': 'evt2', '2.0': 'evt2', '3': 'evt3', '3.0': 'evt3'}
    if version is None or version[1] not in versions:
        named = 'none' if version is None else f'EVT {version[1]}'
        raise InvalidInput(f'{path}: its header names the version of events as {named}; EVT 2.0 and EVT 3.0 are read')
    size = [re.search(rf'(?mi)^% *(?:format .*)?\b{name}[ =](\d+)', header) for name in ('height', 'width')]
    geometry = re.search(r'(?mi)^% *geometry +(\d+)x(\d+)', header)
    found = tuple(int(side[1]) for side in size) if all(size) else None
    found = (int(geometry[2]), int(geometry[1])) if geometry else found
    return RawRecording(path, versions[version[1]], found)


class RawRecording(Recording):
    """A recording that is decoded from its begin, once, and from a kept state afterwards."""

    def __init__(self, path: str, encoding: str, size) -> None:
        wizard = reader('expelliarmus', path).Wizard
        self._wizard = wizard(encoding=encoding, fpath=path, chunk_size=CHUNK)
        self._states, self._begins = [], []
        count, first, last = 0, None, None
        for chunk, state in self._chunks(None):
            first = int(chunk['t'][0]) if first is None else first
            last = int(chunk['t'][-1])
            self._states.append(state)
            self._begins.append(int(chunk['t'].min()))
            count += len(chunk)
        ends = {0: first, count - 1: last}
        super().__init__(path, count, lambda low, _: np.array([(0, 0, ends[low], 0)], EVENT), size)

    def _chunks(self, state):
        """Chunks of events, and the decoder's state before each."""
        self._wizard.reset()
        if state is not None:
            self._wizard.cargo = _copy(state)
        while True:
            before = _copy(self._wizard.cargo)
            chunk = next(iter(self._wizard.read_chunk()), None)
            if chunk is None or not len(chunk):
                return
            yield chunk, before

    def _samples(self) -> tuple:
        """The first ones of the chunks."""
        return CHUNK * np.arange(len(self._begins)), np.array(self._begins)

    def _between(self, start: int, stop: int) -> np.ndarray:
        at = max(bisect_right(self._begins, start) - 1, 0)
        parts = []
        for chunk, _ in self._chunks(self._states[at]):
            if chunk['t'][0] >= stop:
                break
            chosen = chunk[(chunk['t'] >= start) & (chunk['t'] < stop)]
            parts.append(events_of(*(chosen[name] for name in ('x', 'y', 't', 'p'))))
        return np.concatenate(parts) if parts else np.empty(0, EVENT)


def _copy(cargo):
    return type(cargo).from_buffer_copy(cargo)
