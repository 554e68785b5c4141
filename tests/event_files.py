"""Made recordings for tests, written with the readers' own writers."""

import h5py
import numpy as np
from numpy.lib import recfunctions

from mmsterf.events import EVENT

SIZE = (24, 32)


def events(count=5000, seed=0, last=300_000):
    rng = np.random.default_rng(seed)
    made = np.empty(count, EVENT)
    made['x'], made['y'] = rng.integers(0, SIZE[1], count), rng.integers(0, SIZE[0], count)
    made['t'], made['p'] = np.sort(rng.integers(0, last, count)), rng.integers(0, 2, count)
    return made


def write(path, made, **kwargs):
    """Write events with the readers' own writers, or as arrays."""
    suffix = path.suffix
    if suffix in ('.dat', '.bin'):
        import evio
        from evio.formats import nmnist, prophesee

        as_evio = np.empty(len(made), evio.EVENT_DTYPE)
        for name in 'xytp':
            as_evio[name] = made[name]
        (prophesee if suffix == '.dat' else nmnist).write(path, as_evio, **kwargs)
    elif suffix == '.raw':
        from expelliarmus import Wizard

        aligned = np.dtype({'names': list('txyp'), 'formats': ['<i8', '<i2', '<i2', 'u1'], 'itemsize': 16,
                            'offsets': [0, 8, 10, 12]}, align=True)  # fmt: skip
        out = np.zeros(len(made), aligned)
        for name in 'xytp':
            out[name] = made[name]
        Wizard(encoding=kwargs['encoding']).save(path, out)
    elif suffix == '.aedat4':
        path.write_bytes(aedat4(made, **kwargs))
    elif suffix == '.npy':
        np.save(path, recfunctions.repack_fields(made[['p', 't', 'y', 'x']]))
    elif suffix == '.npz':
        np.savez(path, **{name: made[name] for name in 'ptyx'})
    else:
        with h5py.File(path, 'w') as file:
            for name in 'xytp':
                file[f'events/{name}'] = made[name]
            file['t_offset'] = 1_000_000
    return path


def aedat4(made, size=SIZE, pieces=10) -> bytes:
    """An AEDAT4 file without compression, for which there is no writer: its two kinds of flatbuffers and the header."""
    import flatbuffers

    attributes = {'compression': ('string', 'NONE'), 'typeIdentifier': ('string', 'EVTS')}
    lines = ''.join(f'<attr key="{key}" type="{kind}">{value}</attr>' for key, (kind, value) in attributes.items())
    sides = f'<attr key="sizeX" type="int">{size[1]}</attr><attr key="sizeY" type="int">{size[0]}</attr>'
    info = (
        '<dv version="2.0"><node name="outInfo" path="/mainloop/Recorder/outInfo/"><node name="0" '
        f'path="/mainloop/Recorder/outInfo/0/">{lines}<node name="info" path="/mainloop/Recorder/outInfo/0/info/">'
        f'{sides}</node></node></node></dv>'
    )
    header = flatbuffers.Builder()
    text = header.CreateString(info)
    header.StartObject(3)
    header.PrependUOffsetTRelativeSlot(2, text, 0)
    header.PrependInt64Slot(1, -1, 0)
    header.FinishSizePrefixed(header.EndObject(), b'IOHE')
    content = b'#!AER-DAT4.0\r\n' + bytes(header.Output())
    for part in np.array_split(made, pieces):
        packet = flatbuffers.Builder()
        packet.StartVector(16, len(part), 8)
        for event in part[::-1]:
            packet.Prep(8, 16)
            packet.Pad(3)
            packet.PrependBool(bool(event['p']))
            packet.PrependInt16(int(event['y']))
            packet.PrependInt16(int(event['x']))
            packet.PrependInt64(int(event['t']))
        vector = packet.EndVector()
        packet.StartObject(1)
        packet.PrependUOffsetTRelativeSlot(0, vector, 0)
        packet.FinishSizePrefixed(packet.EndObject(), b'EVTS')
        data = bytes(packet.Output())
        content += np.array([0, len(data)], '<u4').tobytes() + data
    return content
