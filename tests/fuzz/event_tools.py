"""Bad inputs of the tools that read event recordings and their labels."""

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from cases import Case, _write

DRAW = 'analysis_tools/draw_events'
LABELS = 'dataset_converters/prophesee_to_coco'
EVENTS = np.zeros(3, [('x', 'i4'), ('y', 'i4'), ('t', 'i8'), ('p', 'u1')])
EVENTS['t'] = 0, 500_000, 900_000
BOXES = np.zeros(2, [('t', 'i8'), *((name, 'f4') for name in 'xywh'), ('class_id', 'u4')])
BOXES['t'], BOXES['w'], BOXES['h'] = 800_000, 50, 60


def _npy(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


GOOD = _npy(EVENTS)
RECORDINGS = {
    'gone.dat': (None, 'is not there'),
    'empty.dat': (b'', 'holds no events'),
    'picture.dat': (b'\x89PNG\r\n\x1a\n' + bytes(64), 'no .dat file'),
    'header.dat': (b'% Date\n', 'ends with its header'),
    'four.raw': (b'% evt 4.0\n' + bytes(64), 'EVT 4.0'),
    'text.raw': (b'hello', 'none'),
    'none.raw': (b'% evt 3.0\n', 'holds no events'),
    'cut.npy': (GOOD[:-20], 'no array'),
    'fields.npy': (_npy(EVENTS[['x', 'y', 't']].copy()), 'it has x, y, t'),
    'objects.npy': (_npy(np.array([{}], object)), 'no array'),
    'text.npz': (b'hello', 'no arrays'),
    'text.h5': (b'hello', 'HDF5'),
    'text.aedat4': (b'hello', 'AEDAT4'),
    'short.bin': (b'abc', 'holds no events'),
    'events.txt': (b'0 0 0 1\n', '.aedat4'),
    'data': (b'', 'by its name'),
}
OPTIONS = [
    (['--start', '5'], '--start'),
    (['--step', '0'], '--step'),
    (['--length', '-1'], '--length'),
    (['--fps', 'nan'], '--fps'),
    (['--sensor', '0', '5'], '--sensor'),
    (['--out', 'out.png'], 'out.png'),
    (['detection.py'], 'checkpoint'),
    (['detection.py', 'good.pth'], 'LoadEvents'),
    (['nowhere.py', 'good.pth'], 'nowhere.py'),
]


def _folder(labels: bytes, recording: bytes = GOOD):
    """A split with one label file, and perhaps a recording."""

    def prepare(folder: Path) -> None:
        (folder / 'root/test').mkdir(parents=True)
        (folder / 'root/test/a_bbox.npy').write_bytes(labels)
        if recording:
            (folder / 'root/test/a_td.npy').write_bytes(recording)

    return prepare


def drawing() -> Iterator[Case]:
    """Recordings that are none, and options that do not go with one that is."""
    for name, (content, said) in RECORDINGS.items():
        prepare = None if name == 'data' else _write(name, content)
        yield Case('recording: ' + name, DRAW, [name, '--sensor', '24', '32', '--out', 'out/a.gif'], (said,), prepare)
    yield Case('recording: no sensor', DRAW, ['a.npy', '--out', 'out/a.gif'], ('--sensor',), _write('a.npy', GOOD))
    for options, said in OPTIONS:
        sensor = [] if '--sensor' in options else ['--sensor', '24', '32']
        yield Case(f'recording: {options[0]}', DRAW, ['a.npy', *options, *sensor], (said,), _write('a.npy', GOOD))


def labelling() -> Iterator[Case]:
    """Label files that are none, and folders without recordings."""
    negative = BOXES.copy()
    negative['w'] = -1
    for name, labels, recording, said in (
        ('cut', _npy(BOXES)[:-9], GOOD, 'a_bbox.npy'),
        ('foreign', b'hello', GOOD, 'a_bbox.npy'),
        ('fields', _npy(BOXES[['t', 'x']].copy()), GOOD, 'it has t, x'),
        ('negative', _npy(negative), GOOD, 'w -1'),
        ('none', _npy(BOXES[:0]), GOOD, 'no boxes are left'),
        ('alone', _npy(BOXES), b'', 'no recording beside it'),
        ('recording', _npy(BOXES), b'hello', 'a_td.npy'),
    ):
        yield Case(f'labels: {name}', LABELS, ['root'], (said,), _folder(labels, recording))
    yield Case('labels: missing', LABELS, ['nowhere'], ('nowhere',))
    yield Case('labels: no split', LABELS, ['data'], ('train nor val nor test',))
    yield Case('labels: data set', LABELS, ['root', '--dataset', 'gen2'], ('gen2',), _folder(_npy(BOXES)))
