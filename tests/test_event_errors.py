"""Event recordings, windows and settings that are wrong: one sentence each, or what is done about them, counted."""

import numpy as np
import pytest
from event_files import SIZE, aedat4, events, h5py, recfunctions, write

from mmsterf.errors import InvalidInput
from mmsterf.events import open_recording, to_steps

pytest.importorskip('evio')
pytest.importorskip('expelliarmus')
STEPS = 4


def load(path, **kwargs):
    from mmsterf.datasets.events import LoadEvents

    results = {'height': SIZE[0], 'width': SIZE[1], **kwargs.pop('results', {})}
    return LoadEvents(STEPS, **kwargs)(dict(img_path=str(path), **results))


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
    with h5py.File(folder / 'numbers.h5', 'w') as out:
        for name in 'xytp':
            out[f'events/{name}'] = made[name].astype(float)
    yield folder / 'numbers.h5', 'x is float64; whole numbers are needed'
    yield file('text.aedat4', b'hello'), 'no AEDAT4 file, or a damaged one'
    yield file('empty.aedat4'), 'no AEDAT4 file, or a damaged one'
    whole = aedat4(made)
    yield file('cut.aedat4', whole[: len(whole) // 2]), 'no AEDAT4 file, or a damaged one'
    yield file('none.aedat4', aedat4(made[:0], pieces=1)), 'holds no events'
    # A counter that starts anew in between, and ends later than it began.
    wrapped = events(4000)
    wrapped['t'] = np.where(np.arange(4000) < 2000, wrapped['t'] + 5000, wrapped['t'] - 119_000)
    for name in ('wrapped.dat', 'wrapped.npy', 'wrapped.h5', 'wrapped.bin', 'wrapped.aedat4'):
        yield write(folder / name, wrapped), r'time goes back, from \d+ us \(event \d+\) to \d+ us \(event \d+\)'
    (folder / 'folder.dat').mkdir()
    yield folder / 'folder.dat', 'is a folder'


def test_bad_files_are_one_sentence(tmp_path):
    cases = list(bad_files(tmp_path))
    assert len(cases) >= 40
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


def test_windows_and_sensors_that_are_refused(tmp_path):
    path = write(tmp_path / 'a.dat', events())
    with h5py.File(tmp_path / 'none.h5', 'w') as file:
        file['other'] = np.zeros(3)
    with h5py.File(tmp_path / 'flat.h5', 'w') as file:
        file['rectify_map'] = np.zeros((24, 32))
    with h5py.File(tmp_path / 'small.h5', 'w') as file:
        file['rectify_map'] = np.zeros((10, 10, 2), np.float32)
    (tmp_path / 'text.h5').write_text('hello')
    for results, message in (
        (dict(event_end=-5), 'a window from -100005 to -5 us, but the recording is of'),
        (dict(event_end=5_000_000), 'from 4900000 to 5000000 us, but the recording is of'),
        (dict(height=0), 'height 0 and width 32 of its sensor; both at least 1'),
        (dict(width=-3), 'width -3'),
        (dict(height=None, width='a'), 'how large its sensor is'),
        (dict(width='a'), 'height 24 and width a'),
        (dict(rectify_map=str(tmp_path / 'none.h5')), 'none.h5: has no `rectify_map` that can be read'),
        (dict(rectify_map=str(tmp_path / 'gone.h5')), 'gone.h5: has no `rectify_map` that can be read'),
        (dict(rectify_map=str(tmp_path / 'text.h5')), 'text.h5: has no `rectify_map` that can be read'),
        (dict(rectify_map=str(tmp_path / 'flat.h5')), r'is of shape \(24, 32\); it must be \(H, W, 2\)'),
        (dict(rectify_map=str(tmp_path / 'small.h5')), r'small.h5: \d+ events lie outside its 10 rows and 10 columns'),
    ):
        with pytest.raises(InvalidInput, match=message) as error:
            load(path, duration=100_000, results=results)
        assert str(tmp_path) in str(error.value) and '\n' not in str(error.value)


def test_what_is_done_about_the_rest(tmp_path, logged):
    """Windows without events, partly before the recording, disorder, events outside the sensor, cut-off bytes."""
    made = events()
    made['t'][made['t'] > 150_000] += 400_000
    empty = load(write(tmp_path / 'gap.dat', made), duration=50_000, results=dict(event_end=400_000))
    assert empty['num_events'] == 0 and empty['img'].shape == (*SIZE, 2 * STEPS) and not empty['img'].any()
    early = load(tmp_path / 'gap.dat', duration=200_000, results=dict(event_end=100_000))
    assert early['event_start'] == -100_000 and early['num_events'] == (made['t'] < 100_000).sum()
    assert not early['img'][..., : 2 * STEPS // 2].any()

    order = np.arange(5000)
    order[1000:1500] = np.random.default_rng(0).permutation(order[1000:1500])
    made = events()
    mixed = write(tmp_path / 'mixed.dat', made[order])
    start, stop = (int(made['t'][i]) for i in (1200, 1300))
    for end, duration in ((stop, stop - start), (300_000, 300_000)):
        # None is missed at the edges of a window, though they stand elsewhere.
        assert np.array_equal(load(mixed, duration=duration, results=dict(event_end=end))['img'],
                              load(write(tmp_path / 'right.dat', made), duration=duration,
                                   results=dict(event_end=end))['img'])  # fmt: skip
    assert (
        'mixed.dat: ' in logged.getvalue() and 'events stand before earlier ones; they are sorted' in logged.getvalue()
    )


CONFIGS = [
    (dict(), dict(), None),
    (dict(time_steps=2), dict(), 'loads 2 time steps, and model.data_preprocessor.time_steps is 4'),
    (dict(), dict(time_steps=2), 'loads 4 time steps, and model.data_preprocessor.time_steps is 2'),
    (dict(bins=2), dict(), "of 4 channels, of which layout='steps' .* makes 4, and model.backbone.in_channels is 2"),
    (dict(signed=True), dict(), 'of 1 channels'),
    (dict(), dict(layout='channels'), "layout='channels' .* makes 8, and model.backbone.in_channels is 2"),
    (dict(), dict(type='DetDataPreprocessor'), 'is DetDataPreprocessor: it must be mmsterf.SequenceDetDataPre'),
    (dict(type='mmsterf.LoadSequence'), dict(), 'of 3 channels'),
]


@pytest.mark.parametrize('load, preprocessor, message', CONFIGS)
def test_steps_of_data_and_model(load, preprocessor, message):
    from mmengine.config import Config

    from mmsterf.engine.sequences import check_sequences

    load = {'type': 'mmsterf.LoadEvents', 'time_steps': 4, **load}
    preprocessor = {'type': 'mmsterf.SequenceDetDataPreprocessor', 'time_steps': 4, **preprocessor}
    backbone = dict(type='mmsterf.MetaSDT', time_steps=4, in_channels=2)
    cfg = Config(
        dict(
            default_scope='mmdet',
            model=dict(data_preprocessor=preprocessor, backbone=backbone),
            val_dataloader=dict(dataset=dict(type='ConcatDataset', datasets=[dict(pipeline=[load])])),
        )
    )
    if message is None:
        check_sequences(cfg)
        cfg.model.backbone.time_steps = 2
        message = 'loads 4 time steps, and model.backbone.time_steps is 2'
    with pytest.raises(InvalidInput, match=message):
        check_sequences(cfg)


def test_data_sets_are_checked(tmp_path):
    """`--check-data`: recordings that are damaged, windows outside them, ends that are no numbers."""
    import json

    from mmengine.config import Config

    from mmsterf.engine.data_checks import check_contents

    write(tmp_path / 'a.npy', events())
    (tmp_path / 'b.dat').write_bytes(b'hello' * 20)

    def errors(*images):
        images = [dict(id=i, height=24, width=32, **image) for i, image in enumerate(images, 1)]
        boxes = [
            dict(id=i['id'], image_id=i['id'], category_id=1, bbox=[1, 1, 9, 9], area=81, iscrowd=0) for i in images
        ]
        content = dict(images=images, annotations=boxes, categories=[dict(id=1, name='a')])
        (tmp_path / 'ann.json').write_text(json.dumps(content))
        load = dict(type='mmsterf.LoadEvents', time_steps=2, duration=100_000)
        leaf = dict(type='mmsterf.EventCocoDataset', data_root=str(tmp_path), ann_file='ann.json', pipeline=[load],
                    metainfo=dict(classes=('a',)))  # fmt: skip
        cfg = Config(dict(default_scope='mmdet', model=dict(), val_dataloader=dict(dataset=leaf)))
        (report,) = check_contents(cfg, ('val',), whole=True)
        return [str(finding) for finding in report.errors]

    window = dict(file_name='a.npy', event_end=200_000)
    assert errors(window, {**window, 'event_end': 300_000}) == []
    (late,) = errors(window, {**window, 'event_end': 900_000}, {**window, 'event_end': 950_000})
    assert 'a.npy: a window from 800000 to 900000 us, but the recording is of' in late and '1 more like it' in late
    (damaged,) = errors(window, dict(file_name='b.dat', event_end=5))
    assert 'b.dat cannot be read: no .dat file of CD events' in damaged
    (gone,) = errors(dict(file_name='c.dat', event_end=5))
    assert 'c.dat is not there' in gone
    (text,) = errors({**window, 'event_end': 'soon'})
    assert "has the event_end 'soon'; it must be whole microseconds" in text
