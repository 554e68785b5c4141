"""Recordings of event cameras: formats, windows, sums, what is refused, and the way through stock pipelines."""

import cv2
import numpy as np
import pytest
import torch
from event_files import SIZE, events, write

from mmsterf.errors import InvalidInput
from mmsterf.events import EVENT, open_recording, to_steps
from mmsterf.events import raw as raw_files
from mmsterf.events.recordings import MARGIN

pytest.importorskip('evio')
pytest.importorskip('expelliarmus')
pytest.importorskip('aedat')

FILES = [('a.dat', {}), ('a.bin', {}), ('a2.raw', dict(encoding='evt2')), ('a3.raw', dict(encoding='evt3')),
         ('a.npy', {}), ('a.npz', {}), ('a.h5', {}), ('a.aedat4', {})]  # fmt: skip


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
    assert sum(sizes) < len(window.events) + 2 * MARGIN + 50


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


def test_stock_packing_keeps_all_steps(tmp_path):
    """What is packed is (T*C, H, W), and the path knows the window."""
    from mmdet.datasets.transforms import PackDetInputs
    from mmseg.datasets.transforms import PackSegInputs

    results = load(write(tmp_path / 'a.dat', events()), duration=100_000)
    for pack, kwargs in ((PackDetInputs, dict(meta_keys=('img_path',))), (PackSegInputs, {})):
        packed = pack(**kwargs)(dict(results))
        assert np.array_equal(packed['inputs'].numpy(), results['img'].transpose(2, 0, 1))
        assert packed['data_samples'].img_path.part == (results['event_start'], results['event_end'], SIZE)


def test_sequences_of_images(tmp_path):
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
