"""Recordings of event cameras: formats, windows, sums, what is refused, and the way through stock pipelines."""

import numpy as np
import pytest
import torch
from numpy.lib import recfunctions

from mmsterf.errors import InvalidInput
from mmsterf.events import EVENT, open_recording, to_steps
from mmsterf.events import raw as raw_files

pytest.importorskip('evio')
pytest.importorskip('expelliarmus')
h5py = pytest.importorskip('h5py')

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


FILES = [('a.dat', {}), ('a.bin', {}), ('a2.raw', dict(encoding='evt2')), ('a3.raw', dict(encoding='evt3')),
         ('a.npy', {}), ('a.npz', {}), ('a.h5', {})]  # fmt: skip


@pytest.mark.parametrize('name, kwargs', FILES, ids=[name for name, _ in FILES])
def test_formats_and_windows(name, kwargs, tmp_path, monkeypatch):
    monkeypatch.setattr(raw_files, 'CHUNK', 700)  # windows begin at a state within the file
    made = events()
    recording = open_recording(str(write(tmp_path / name, made, **kwargs)))
    offset = 1_000_000 if name.endswith('.h5') else 0
    whole = recording.window()
    assert recording.count == len(whole.events) == len(made) and whole.unsorted == 0
    found = whole.events.copy()
    found['t'] -= offset
    # At one microsecond EVT3 may hold events in another order.
    order = ['t', 'y', 'x', 'p']
    assert (np.sort(found, order=order) == np.sort(made, order=order)).all()
    for end, duration in ((150_000, 50_000), (1000, 400), (299_000, 1), (20_000, 100_000)):
        window = recording.window(end + offset, duration)
        expected = made[(made['t'] >= end - duration) & (made['t'] < end)]
        assert (window.start, window.stop) == (end - duration + offset, end + offset)
        assert len(window.events) == len(expected)
        assert np.array_equal(window.events['t'] - offset, expected['t'])


def test_a_window_reads_its_part_of_a_file(tmp_path, monkeypatch):
    recording = open_recording(str(write(tmp_path / 'a.dat', events(100_000))))
    read, sizes = recording._read, []
    monkeypatch.setattr(recording, '_read', lambda low, high: sizes.append(high - low) or read(low, high))
    window = recording.window(150_000, 3000)
    assert sum(sizes) < len(window.events) + 50


def test_a_raw_file_is_decoded_once(tmp_path, monkeypatch):
    monkeypatch.setattr(raw_files, 'CHUNK', 500)
    recording = open_recording(str(write(tmp_path / 'a.raw', events(20_000), encoding='evt2')))
    seen, read = [], recording._wizard.read_chunk
    monkeypatch.setattr(recording._wizard, 'read_chunk', lambda: seen.append(1) or read())
    recording.window(290_000, 3000)
    assert len(recording._states) == 40 and len(seen) <= 4


def test_sums_are_exact():
    made = events()
    for steps, bins in ((1, 1), (4, 1), (3, 5)):
        count = to_steps(made, 0, 300_000, SIZE, steps, bins=bins)
        assert count.shape == (steps, 2 * bins, *SIZE) and count.sum() == len(made)
        voxel = to_steps(made, 0, 300_000, SIZE, steps, 'voxel', bins=bins)
        assert voxel.sum(dtype=np.float64) == pytest.approx(len(made), rel=1e-6)
        binary = to_steps(made, 0, 300_000, SIZE, steps, 'binary', bins=bins)
        assert np.array_equal(binary, count > 0)
        signed = to_steps(made, 0, 300_000, SIZE, steps, signed=True, bins=bins).reshape(-1, *SIZE)
        assert np.array_equal(signed, count.reshape(-1, 2, *SIZE)[:, 1] - count.reshape(-1, 2, *SIZE)[:, 0])


def test_where_events_go():
    made = np.array([(1, 2, 100, 1), (1, 2, 199, 1), (3, 0, 200, 0), (0, 1, 399, 1)], EVENT)
    count = to_steps(made, 0, 400, (3, 4), 2)
    assert count[0, 1, 2, 1] == 2 and count[1, 0, 0, 3] == 1 and count[1, 1, 1, 0] == 1 and count.sum() == 4
    assert to_steps(made, 0, 400, (3, 4), 2, clip=1, scale=4)[0, 1, 2, 1] == 0.25
    # At 100 of 0..399 us between two points in time: a quarter of the way.
    voxel = to_steps(made[:1], 0, 401, (3, 4), 2, 'voxel')
    assert voxel[0, 1, 2, 1] == pytest.approx(0.75) and voxel[1, 1, 2, 1] == pytest.approx(0.25)
    # Thirds of a window that has no whole microseconds for them.
    edge = np.array([(0, 0, t, 1) for t in range(100)], EVENT)
    assert to_steps(edge, 0, 100, (1, 1), 3)[:, 1].ravel().tolist() == [34, 33, 33]


def bad_files(folder):
    """Names of files, and what is said of them."""
    made = events(100)

    def file(name, content=b''):
        (folder / name).write_bytes(content)
        return folder / name

    yield folder / 'gone.dat', 'is not there'
    yield file('a.txt'), r'no recording of events by its name; .dat, .raw'
    yield file('empty.dat'), 'holds no events'
    yield file('header.dat', b'% Date today\n'), 'the file ends with its header'
    yield file('none.dat', b'% Date today\n\x0c\x08'), 'holds no events'
    yield file('photo.dat', b'\x89PNG\r\n\x1a\n' + bytes(64)), r'no .dat file of CD events.*type 137'
    yield file('ten.dat', b'% x\n\x0c\x0a' + bytes(40)), 'of 10 bytes'
    back = made.copy()
    back['t'] = back['t'][::-1]
    yield write(folder / 'back.dat', back), 'time goes back'
    yield write(folder / 'back.npy', back), 'time goes back'
    yield file('empty.bin'), 'holds no events'
    yield file('short.bin', b'abc'), 'holds no events'
    yield file('empty.raw'), 'version of events as none'
    yield file('four.raw', b'% evt 4.0\n' + bytes(64)), 'as EVT 4.0; EVT 2.0 and EVT 3.0 are read'
    yield file('twoone.raw', b'% evt 2.1\n' + bytes(64)), 'as EVT 2.1'
    yield file('format.raw', b'% format EVT21;height=720;width=1280\n% end\n'), 'as EVT 21'
    yield file('none2.raw', b'% evt 2.0\n'), 'holds no events'
    yield file('none3.raw', b'% evt 3.0\n'), 'holds no events'
    yield file('text.npy', b'hello'), 'no array that can be read'
    yield file('empty.npy'), 'no array that can be read'
    np.save(folder / 'plain.npy', np.zeros((5, 4), np.int64))
    yield folder / 'plain.npy', r'need the fields x, y, t and p; it has none \(an array of int64\)'
    np.save(folder / 'few.npy', recfunctions.repack_fields(made[['x', 'y', 't']]))
    yield folder / 'few.npy', 'it has x, y, t$'
    np.save(folder / 'two.npy', made.reshape(10, 10))
    yield folder / 'two.npy', 'of one length'
    np.save(folder / 'seconds.npy', made.astype([('x', 'i4'), ('y', 'i4'), ('t', 'f8'), ('p', 'u1')]))
    yield folder / 'seconds.npy', 't is float64; whole numbers are needed, in microseconds'
    np.save(folder / 'objects.npy', np.array([{}], dtype=object), allow_pickle=True)
    yield folder / 'objects.npy', 'no array that can be read'
    yield file('text.npz', b'hello'), 'no arrays that can be read'
    np.savez(folder / 'lengths.npz', x=made['x'], y=made['y'], t=made['t'], p=made['p'][:5])
    yield folder / 'lengths.npz', r'of one length each, and the same; they are x \(100,\)'
    np.savez(folder / 'few.npz', x=made['x'], t=made['t'])
    yield folder / 'few.npz', 'it has x, t'
    np.savez(folder / 'none.npz', **{name: made[name][:0] for name in 'xytp'})
    yield folder / 'none.npz', 'holds no events'
    yield file('text.h5', b'hello'), 'no HDF5 file, or a damaged one'
    with h5py.File(folder / 'other.h5', 'w') as out:
        out['events/x'] = made['x']
    yield folder / 'other.h5', 'it has x'
    with h5py.File(folder / 'nothing.h5', 'w') as out:
        out['frames'] = made['x']
    yield folder / 'nothing.h5', 'it has frames'
    (folder / 'folder.dat').mkdir()
    yield folder / 'folder.dat', 'is a folder'


def test_bad_files_are_one_sentence(tmp_path):
    cases = list(bad_files(tmp_path))
    assert len(cases) > 30
    for path, message in cases:
        with pytest.raises(InvalidInput, match=message) as error:
            open_recording(str(path))
        assert str(path) in str(error.value) and '\n' not in str(error.value), path


def test_bad_windows_and_settings(tmp_path):
    recording = open_recording(str(write(tmp_path / 'a.dat', events())))
    for end, duration, message in (
        (100, 0, 'a window of 0 us; it must be above 0'),
        (100, -5, 'a window of -5 us'),
        (-10, 100, r'from -110 to -10 us, but the recording is of \d+ to \d+ us'),
        (900_000, 100, 'from 899900 to 900000 us'),
    ):
        with pytest.raises(InvalidInput, match=message):
            recording.window(end, duration)
    for kwargs, message in (
        (dict(representation='spikes'), "representation='spikes': one of count, binary, voxel"),
        (dict(time_steps=0), 'time_steps=0: a whole number of at least 1'),
        (dict(bins=1.5), 'bins=1.5'),
        (dict(clip=0), 'clip=0: a number above 0'),
        (dict(scale=-1), 'scale=-1'),
    ):
        with pytest.raises(InvalidInput, match=message):
            to_steps(events(), 0, 300_000, SIZE, **{'time_steps': 2, **kwargs})


def test_a_package_that_is_absent(tmp_path, monkeypatch):
    import sys

    path = write(tmp_path / 'a.raw', events(), encoding='evt2')
    monkeypatch.setitem(sys.modules, 'expelliarmus', None)
    with pytest.raises(
        ModuleNotFoundError, match=r"expelliarmus, which is not installed: pip install 'mmsterf\[events\]'"
    ):
        open_recording(str(path))


# What follows goes through the packages of OpenMMLab.

STEPS = 4


def load(path, **kwargs):
    from mmsterf.datasets.events import LoadEvents

    return LoadEvents(STEPS, **kwargs)(dict(img_path=str(path), height=SIZE[0], width=SIZE[1]))


def test_load_events(tmp_path, logged):
    made = events()
    made['x'][:7] += 100
    path = write(tmp_path / 'a.dat', made)
    results = load(path, bins=2)
    assert results['img'].shape == (*SIZE, STEPS * 4) and results['img'].dtype == np.float32
    assert results['img'].sum() == results['num_events'] == len(made) - 7
    first = made['t'].min()
    expected = to_steps(made[7:], first, made['t'].max() + 1, SIZE, STEPS, bins=2)
    assert np.array_equal(results['img'].transpose(2, 0, 1).reshape(expected.shape), expected)
    with open(tmp_path / 'cut.dat', 'wb') as cut:
        cut.write(path.read_bytes()[:-3])
    load(tmp_path / 'cut.dat')
    said = logged.getvalue()
    assert '7 events outside the sensor of width 32 and height 24' in said
    assert '5 bytes at its end are no whole event' in said


def test_load_events_refuses(tmp_path):
    from mmsterf.datasets.events import LoadEvents

    made = events()
    made['x'] += 100
    with pytest.raises(InvalidInput, match=r'all \d+ events .* lie outside the sensor of width 32 and height 24'):
        load(write(tmp_path / 'out.dat', made))
    write(tmp_path / 'a.npy', events())
    with pytest.raises(InvalidInput, match='how large its sensor is: give `height` and `width`'):
        LoadEvents(STEPS)(dict(img_path=str(tmp_path / 'a.npy')))
    for kwargs, message in ((dict(duration=0), 'duration=0'), (dict(representation='x'), 'representation')):
        with pytest.raises(InvalidInput, match=message):
            LoadEvents(STEPS, **kwargs)


def stock_steps():
    from mmcv import transforms as mmcv
    from mmdet.datasets import transforms as mmdet
    from mmseg.datasets import transforms as mmseg

    return [
        ('det', mmdet.Resize, dict(scale=(50, 40), keep_ratio=True)),
        ('det', mmdet.RandomFlip, dict(prob=1.0)),
        ('det', mmdet.RandomCrop, dict(crop_size=(16, 16))),
        ('seg', mmseg.Resize, dict(scale=(50, 40), keep_ratio=True)),
        ('seg', mmcv.RandomResize, dict(scale=(50, 40), ratio_range=(0.5, 2.0), resize_type=mmseg.Resize)),
        ('seg', mmcv.RandomFlip, dict(prob=1.0)),
        ('seg', mmseg.RandomCrop, dict(crop_size=(16, 16))),
        ('seg', mmseg.RandomRotate, dict(prob=1.0, degree=20)),
    ]


def test_stock_steps_act_on_all_steps_alike():
    from mmdet.structures.bbox import HorizontalBoxes

    image = np.random.default_rng(0).random((*SIZE, STEPS * 2)).astype(np.float32)

    def run(task, step, kwargs, part):
        results = dict(img=np.ascontiguousarray(part), img_shape=SIZE, ori_shape=SIZE)
        if task == 'det':
            results |= dict(gt_bboxes=HorizontalBoxes(np.array([[2, 2, 20, 20]], np.float32)),
                            gt_bboxes_labels=np.zeros(1, int), gt_ignore_flags=np.zeros(1, bool))  # fmt: skip
        else:
            results |= dict(gt_seg_map=np.zeros(SIZE, np.uint8), seg_fields=['gt_seg_map'])
        np.random.seed(3)
        return step(**kwargs)(results)['img']

    for task, step, kwargs in stock_steps():
        whole = run(task, step, kwargs, image)
        parts = [run(task, step, kwargs, image[..., 2 * i : 2 * i + 2]) for i in range(STEPS)]
        assert np.array_equal(whole, np.concatenate(parts, 2)), step


def test_sequences_of_images(tmp_path):
    import cv2

    from mmsterf.datasets.events import LoadSequence

    for i in range(12):
        cv2.imwrite(str(tmp_path / f'{i}.png'), np.full((8, 8, 3), 10 * i, np.uint8))

    def steps(path, **kwargs):
        image = LoadSequence(3, **kwargs)(dict(img_path=str(path)))['img']
        assert image.shape == (8, 8, 9)
        return image[0, 0, ::3].tolist()

    assert steps(tmp_path / '11.png') == [90, 100, 110]  # 10 comes after 9
    assert steps(tmp_path / '11.png', stride=4) == [30, 70, 110]
    assert steps(tmp_path / '1.png') == [0, 0, 10]
    with pytest.raises(InvalidInput, match=r'99\.png: is not there, among the 12 images'):
        steps(tmp_path / '99.png')
    cv2.imwrite(str(tmp_path / '5.png'), np.zeros((9, 8, 3), np.uint8))
    with pytest.raises(InvalidInput, match='images of a sequence must be of one size'):
        steps(tmp_path / '6.png')


def test_data_preprocessors():
    from mmdet.structures import DetDataSample
    from mmseg.structures import SegDataSample

    from mmsterf.models.det import SequenceDetDataPreprocessor
    from mmsterf.models.seg import SequenceSegDataPreprocessor

    torch.manual_seed(0)
    inputs = [torch.rand(6, 20, 30), torch.rand(6, 24, 17)]
    samples = [DetDataSample(metainfo=dict(img_shape=tuple(x.shape[1:]))) for x in inputs]
    make = SequenceDetDataPreprocessor
    pre = make(time_steps=2, pad_size_divisor=16, mean=(1, 2, 3), std=(1, 1, 2), bgr_to_rgb=True)
    out = pre(dict(inputs=inputs, data_samples=samples))
    assert out['inputs'].shape == (2, 2, 3, 32, 32)
    turned = inputs[1].unflatten(0, (2, 3)).flip(1)
    assert torch.allclose(out['inputs'][1, 1, 2, :24, :17], (turned[1, 2] - 3) / 2)
    assert out['inputs'][:, 1, :, 24:].abs().max() == 0 and out['data_samples'][1].pad_shape == (32, 32)
    flat = make(time_steps=2, layout='channels', pad_size_divisor=16)(dict(inputs=inputs, data_samples=samples))
    summed = make(time_steps=2, layout='sum', pad_size_divisor=16)(dict(inputs=inputs, data_samples=samples))
    assert torch.equal(flat['inputs'][1, :, :24, :17], inputs[1])
    assert torch.allclose(summed['inputs'][0, :, :20, :30], inputs[0].unflatten(0, (2, 3)).sum(0))
    seg = SequenceSegDataPreprocessor(time_steps=3, test_cfg=dict(size=(32, 32)))
    out = seg(dict(inputs=inputs[:1], data_samples=[SegDataSample()]))
    assert out['inputs'].shape == (3, 1, 2, 32, 32)
    for kwargs, message in (
        (dict(time_steps=4), '6 channels, which are not those of time_steps=4 steps'),
        (dict(time_steps=2, mean=(1, 2), std=(1, 1)), 'mean has 2 values, and a step 3 channels'),
        (dict(time_steps=2, layout='x'), "layout='x': one of steps, channels, sum"),
        (dict(time_steps=2, mean=(1,)), 'give both or neither'),
    ):
        with pytest.raises(InvalidInput, match=message):
            make(**kwargs)(dict(inputs=inputs, data_samples=samples))
