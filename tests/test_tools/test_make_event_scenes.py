"""The tool that makes event scenes: what it writes is what Prophesee's readers and our own read."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from mmsterf.datasets.event_scenes import BOX, EventSceneSettings, make_event_scene
from mmsterf.events import EVENT, open_recording

expelliarmus = pytest.importorskip('expelliarmus')
pytest.importorskip('evio')

TOOL = Path(__file__).parents[2] / 'tools/dataset_converters/make_event_scenes.py'
TINY = ('--train', '2', '--val', '1', '--duration', '900')


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('make_event_scenes', TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope='module')
def scenes(tool, tmp_path_factory):
    out = tmp_path_factory.mktemp('events') / 'scenes'
    tool.main(['--out', str(out), *TINY])
    return out


def test_files_of_the_gen1_layout(scenes):
    made = make_event_scene('train', 0, 1, EventSceneSettings(duration=900))
    for class_set, boxes in made.boxes.items():
        file = scenes / class_set / 'train/scene_0001_td.dat'
        recording = open_recording(str(file))
        assert recording.size == (96, 128) and recording.left_over == 0
        assert (recording.window().events == made.events).all()
        other = expelliarmus.Wizard(encoding='dat').read(file)
        assert all((other[name] == made.events[name]).all() for name in 'xytp')
        stored = np.load(file.with_name('scene_0001_bbox.npy'))
        assert stored.dtype == BOX and (stored == boxes).all()
    assert (scenes / 'digits/train/scene_0001_td.dat').samefile(file)


def test_annotations_name_windows(scenes):
    for class_set, count in (('digits', 10), ('direction', 2)):
        content = json.loads((scenes / class_set / 'annotations/train.json').read_text())
        assert len(content['categories']) == count
        boxes = [np.load(file) for file in sorted((scenes / class_set / 'train').glob('*_bbox.npy'))]
        assert {image['event_end'] for image in content['images']} <= {600_000, 800_000}
        # What the protocol leaves out is small; most is there.
        assert 0.5 < len(content['annotations']) / sum(map(len, boxes)) <= 1


def test_made_once(tool, scenes, capsys):
    before = (scenes / 'meta.json').stat().st_mtime_ns
    tool.main(['--out', str(scenes), *TINY])
    assert 'are there already' in capsys.readouterr().out
    with pytest.raises(SystemExit, match=r'was made with shot 1.0, but shot 3.0 is asked for: .*--force'):
        tool.main(['--out', str(scenes), *TINY, '--shot', '3'])
    assert (scenes / 'meta.json').stat().st_mtime_ns == before
    with pytest.raises(SystemExit):
        tool.main(['--out', str(scenes), '--speed', '90', '20'])
    assert '--speed is 90 20: must be MIN MAX' in capsys.readouterr().err


def test_recordings_four_to_a_scene(tool, tmp_path):
    nmnist = pytest.importorskip('evio.formats.nmnist')
    rng = np.random.default_rng(0)
    for name in ('cat', 'dog'):
        (tmp_path / 'real' / name).mkdir(parents=True)
        for i in range(5):
            events = np.zeros(2000, EVENT)
            events['t'], events['p'] = np.sort(rng.integers(0, 300_000, 2000)), name == 'dog'
            events['x'], events['y'] = rng.integers(3, 20, 2000), rng.integers(5, 30, 2000)
            nmnist.write(tmp_path / 'real' / name / f'{i}.bin', events)
    made = ('--recordings', str(tmp_path / 'real'), '--out', str(tmp_path / 'scenes'), '--train', '3', '--val', '1')
    tool.main(list(made))
    content = json.loads((tmp_path / 'scenes/digits/annotations/train.json').read_text())
    assert [category['name'] for category in content['categories']] == ['cat', 'dog']
    assert len(content['images']) == 3 and len(content['annotations']) == 12
    for image in content['images']:
        path = str(tmp_path / 'scenes/digits/train' / image['file_name'])
        window = open_recording(path).window(image['event_end'], 300_000)
        assert len(window.events) > 4 * 1990
        for annotation in content['annotations']:
            if annotation['image_id'] == image['id']:
                x, y, w, h = annotation['bbox']
                assert (w, h) == (17, 25)
                inside = (window.events['x'] >= x) & (window.events['x'] < x + w)
                inside &= (window.events['y'] >= y) & (window.events['y'] < y + h)
                # All of one recording, of the class that its polarity tells, and nothing of its neighbours.
                assert 1990 < inside.sum() <= 2000
                assert set(window.events['p'][inside]) == {annotation['category_id'] - 1}
    with pytest.raises(
        SystemExit, match=r'folders of recordings .* one for each class, are looked for; there are none'
    ):
        tool.main(['--recordings', str(tmp_path / 'real' / 'cat'), '--out', str(tmp_path / 'none')])
