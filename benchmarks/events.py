"""Windows of event recordings against reading the whole file: benchmarks/events.py [--events 50] [--seconds 60].

Makes a recording in a temporary folder, as .dat, HDF5 (blosc) and EVT3, and reads windows of it, each way in a process
of its own: seconds to open it, seconds for each window, and the memory that this takes beside the interpreter's. The
files are in the system's cache, having just been written.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from mmsterf.events import EVENT, open_recording, to_steps

SIZE = (240, 304)
DURATION = 200_000


def main() -> None:
    """Make the files and measure each case in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--events', type=float, default=50, help='millions of events (default 50)')
    parser.add_argument('--seconds', type=int, default=60, help='of the recording (default 60)')
    parser.add_argument('--windows', type=int, default=100, help='of 200 ms each (default 100)')
    parser.add_argument('--case', nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    last = args.seconds * 1_000_000
    ends = np.random.default_rng(1).integers(DURATION, last, args.windows).tolist()
    if args.case:
        print(json.dumps(measure(*args.case, ends)))
        return
    with tempfile.TemporaryDirectory() as folder:
        files = write(Path(folder), round(args.events * 1e6), last)
        print('| file | MB | read | open, s | a window, ms | all, s | memory, MB |')
        print('| --- | --- | --- | --- | --- | --- | --- |')
        seen = set()
        for file in files:
            for how in ('windows', 'whole'):
                options = ['--events', args.events, '--seconds', args.seconds, '--windows', args.windows]
                command = [sys.executable, __file__, '--case', how, file, *options]
                found = json.loads(subprocess.run(list(map(str, command)), check=True, capture_output=True).stdout)
                seen.add(found['events'])
                each = 1000 * found['windows'] / args.windows
                print(
                    f'| {file.suffix} | {file.stat().st_size / 1e6:.0f} | {how} | {found["open"]:.2f} | {each:.1f} | '
                    f'{found["open"] + found["windows"]:.1f} | {found["memory"]:.0f} |',
                    flush=True,
                )
        assert len(seen) == 1, f'the ways disagree on the number of events: {seen}'
        print(f'\n{args.windows} windows of 200 ms with {seen.pop()} events in all; 4 steps of two polarities of each')


def measure(how: str, path: str, ends: list) -> dict:
    """Seconds and memory (MB) of opening a recording and of making steps of windows."""
    open_recording_readers(path)
    forget()
    before, start, events = memory('VmRSS'), time.perf_counter(), 0
    recording = open_recording(path)
    everything = recording.window().events if how == 'whole' else None
    opened = time.perf_counter()
    for end in ends:
        if everything is None:
            found = recording.window(end, DURATION).events
        else:
            low, high = np.searchsorted(everything['t'], (end - DURATION, end))
            found = everything[low:high]
        to_steps(found, end - DURATION, end, SIZE, 4)
        events += len(found)
    done = time.perf_counter()
    return dict(open=opened - start, windows=done - opened, memory=memory('VmHWM') - before, events=events)


def open_recording_readers(path: str) -> None:
    """Import what reads a file, which is not measured."""
    import hdf5plugin  # noqa: F401

    to_steps(np.zeros(1, EVENT), 0, 1, SIZE, 4)


def memory(what: str) -> float:
    """Resident memory of this process, MB: VmRSS as it is, VmHWM the most since `forget`."""
    return int(re.search(rf'{what}:\s+(\d+)', Path('/proc/self/status').read_text())[1]) / 1024


def forget() -> None:
    """Let the most be what there is now."""
    Path('/proc/self/clear_refs').write_text('5')


def write(folder: Path, count: int, last: int) -> list:
    """Write a recording of `count` events until `last` microseconds in three formats."""
    import h5py
    import hdf5plugin
    from expelliarmus import Wizard

    rng = np.random.default_rng(0)
    t = np.sort(rng.integers(0, last, count, np.uint32))
    x, y = rng.integers(0, SIZE[1], count, np.uint16), rng.integers(0, SIZE[0], count, np.uint16)
    p = rng.integers(0, 2, count, np.uint8)
    files = [folder / 'a.dat', folder / 'a.h5', folder / 'a.raw']
    with files[0].open('wb') as file:
        file.write(f'% Data file\n% Height {SIZE[0]}\n% Width {SIZE[1]}\n'.encode() + bytes([12, 8]))
        words = np.empty((count, 2), '<u4')
        words[:, 0], words[:, 1] = t, x | y.astype('<u4') << 14 | p.astype('<u4') << 28
        words.tofile(file)
    del words
    with h5py.File(files[1], 'w') as file:
        for name, values in (('x', x), ('y', y), ('t', t), ('p', p)):
            file.create_dataset(f'events/{name}', data=values, chunks=(min(count, 100_000),), **hdf5plugin.Blosc())
    events = np.zeros(count, np.dtype([('t', '<i8'), ('x', '<i2'), ('y', '<i2'), ('p', 'u1')], align=True))
    for name, values in (('x', x), ('y', y), ('t', t), ('p', p)):
        events[name] = values
    Wizard(encoding='evt3').save(files[2], events)
    return files


if __name__ == '__main__':
    main()
