"""iniVation's AEDAT4, whose packed pieces the reader gives one after the other."""

import numpy as np

from mmsterf.errors import InvalidInput

from .formats import events_of
from .recordings import EVENT, Recording, reader


def aedat(path: str) -> Recording:
    """Open an AEDAT4 file."""
    return AedatRecording(path)


class AedatRecording(Recording):
    """A recording that is unpacked from its beginning to the end of each window, with the memory of one piece."""

    def __init__(self, path: str) -> None:
        self._decoder = reader('aedat', path).Decoder
        count, last, places, firsts = 0, None, [], []
        try:
            streams = self._decoder(path).id_to_stream().values()
            self._path = path
            for piece in self._pieces():
                places.append(count)
                firsts.append(int(piece['t'][0]))
                last, count = int(piece['t'][-1]), count + len(piece)
        except (RuntimeError, ValueError, TypeError, OSError) as error:
            raise InvalidInput(f'{path}: no AEDAT4 file, or a damaged one ({error})') from error
        size = next(((s['height'], s['width']) for s in streams if s['type'] == 'events'), None)
        self._places, self._firsts = np.array(places), np.array(firsts)
        ends = {0: firsts[0] if firsts else None, count - 1: last}
        super().__init__(path, count, lambda low, _: np.array([(0, 0, ends[low], 0)], EVENT), size)

    def _pieces(self):
        for packet in self._decoder(self._path):
            if 'events' in packet and len(packet['events']):
                yield packet['events']

    def _samples(self) -> tuple:
        """The first ones of the pieces."""
        return self._places, self._firsts

    def _between(self, start: int, stop: int) -> np.ndarray:
        parts = []
        for piece in self._pieces():
            if piece['t'][0] >= stop:
                break
            if piece['t'][-1] >= start:
                chosen = piece[(piece['t'] >= start) & (piece['t'] < stop)]
                parts.append(events_of(*(chosen[name] for name in ('x', 'y', 't', 'on'))))
        return np.concatenate(parts) if parts else np.empty(0, EVENT)
