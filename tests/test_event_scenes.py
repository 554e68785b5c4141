"""The simulated event camera, and the scenes of moving digits that it sees."""

import numpy as np
import pytest

from mmsterf.datasets.digit_scans import load_scans, split_scans
from mmsterf.datasets.event_scenes import BOX, EventSceneSettings, make_event_scene
from mmsterf.errors import InvalidInput
from mmsterf.events.camera import CameraSettings, EventCamera

IDEAL = dict(threshold_noise=0, refractory=0, leak=0, shot=0)
SHORT = EventSceneSettings(duration=1100)


def camera(level=100.0, size=(30, 40), **settings):
    rng = np.random.default_rng(0)
    return EventCamera(np.full(size, level), 0, CameraSettings(**{**IDEAL, **settings}), rng)


def steady(eye, level, milliseconds, step=2):
    frame = np.full(eye.shape, level)
    return np.concatenate([eye.see(frame, 1000 * t) for t in range(step, milliseconds + 1, step)])


def test_an_event_for_each_threshold():
    eye = camera()
    eye._reference[:] = eye._seen
    up = eye.see(np.full(eye.shape, 100 * np.exp(1.05)), 1000)
    assert len(up) == 5 * 1200 and up['p'].all()
    # A straight line of the logarithm: the crossings are evenly spaced.
    assert np.unique(up['t']).tolist() == [190, 380, 571, 761, 952]
    down = eye.see(np.full(eye.shape, 100.0), 2000)
    assert len(down) == 5 * 1200 and not down['p'].any()
    assert not len(eye.see(np.full(eye.shape, 100.0), 3000))


def test_how_long_frames_last_does_not_matter():
    """The same ramp of the logarithm in one frame or in fifty: the same events."""
    found = []
    for frames in (1, 50):
        eye = camera(threshold_noise=0.05)
        times = np.linspace(0, 100_000, frames + 1)[1:]
        found.append(np.concatenate([eye.see(np.full(eye.shape, 100 * np.exp(t / 1e5)), int(t)) for t in times]))
    one, many = (np.sort(events, order=('x', 'y', 't')) for events in found)
    assert len(one) == len(many) > 4000
    assert (one['x'] == many['x']).all() and (np.abs(one['t'] - many['t']) <= 1).all()


def test_pixels_are_blind_for_a_while():
    rng = np.random.default_rng(1)
    eye = camera(refractory=700, shot=200)
    frames = 100 * np.exp(rng.normal(0, 0.5, (40, *eye.shape)))
    events = np.concatenate([eye.see(frame, 1000 * (t + 1)) for t, frame in enumerate(frames)])
    assert (np.diff(events['t']) >= 0).all()
    order = np.lexsort((events['t'], events['x'], events['y']))
    pixel, time = (events['y'] * 40 + events['x'])[order], events['t'][order]
    gaps = np.diff(time)[np.diff(pixel) == 0]
    assert len(gaps) > 10_000 and gaps.min() >= 699  # stamps are whole microseconds


def test_noise_has_the_rate_that_is_asked_for():
    leak = steady(camera(leak=5, refractory=100), 100.0, 4000)
    assert leak['p'].all() and len(leak) / 1200 / 4 == pytest.approx(5, rel=0.1)
    dark, light = (steady(camera(level, shot=5, refractory=100), level, 4000) for level in (0.0, 255.0))
    assert len(dark) / 1200 / 4 == pytest.approx(5, rel=0.1) and len(light) / len(dark) == pytest.approx(0.25, rel=0.1)
    assert dark['p'].mean() == pytest.approx(0.5, abs=0.05)
    assert not len(steady(camera(), 100.0, 100))


def test_thresholds_differ_between_pixels():
    eye = camera(threshold_noise=0.05)
    counts = np.bincount(eye.see(np.full(eye.shape, 100 * np.exp(2.0)), 1000)['y'], minlength=30)
    assert len(np.unique(counts)) > 3
    with pytest.raises(InvalidInput, match=r'threshold=0.*above 0'):
        CameraSettings(threshold=0)
    with pytest.raises(InvalidInput, match=r'after 1000 us is expected'):
        eye.see(np.zeros(eye.shape), 1000)


@pytest.fixture(scope='module')
def scenes():
    return [make_event_scene('train', 0, index, SHORT) for index in range(6)]


def test_a_scene_depends_on_its_number_alone(scenes):
    again = make_event_scene('train', 0, 3, SHORT)
    assert (again.events == scenes[3].events).all() and again.scans == scenes[3].scans
    assert all((again.boxes[name] == scenes[3].boxes[name]).all() for name in again.boxes)
    other = make_event_scene('train', 1, 3, SHORT)
    assert len(other.events) != len(again.events)
    labels = load_scans()[1]
    val = make_event_scene('val', 0, 3, SHORT)
    assert set(val.scans) <= set(split_scans(labels, 'val')) and set(again.scans) <= set(split_scans(labels, 'train'))


def test_boxes_hold_the_digits(scenes):
    """Their classes are those of the scans, they lie on the sensor, and the edges of what moves lie in them."""
    labels = load_scans()[1]
    for scene in scenes:
        digits, direction = scene.boxes['digits'], scene.boxes['direction']
        assert digits.dtype == BOX and (digits['ts'] == direction['ts']).all()
        assert set(digits['class_id']) <= {labels[scan] for scan in scene.scans}
        assert (digits['x'] >= 0).all() and (digits['x'] + digits['w'] <= 128).all()
        assert (digits['y'] >= 0).all() and (digits['y'] + digits['h'] <= 96).all()
        for box in digits:
            events = scene.events
            now = events[np.abs(events['t'] - int(box['ts'])) < 3000]
            inside = (now['x'] >= box['x'] - 1) & (now['x'] <= box['x'] + box['w'])
            inside &= (now['y'] >= box['y'] - 1) & (now['y'] <= box['y'] + box['h'])
            area = box['w'] * box['h'] / (96 * 128)
            assert inside.sum() > 2 * area * len(now)


def test_the_class_of_direction_is_where_a_digit_goes(scenes):
    seen = 0
    for scene in scenes:
        boxes = scene.boxes['direction']
        for track in np.unique(boxes['track_id']):
            path = boxes[boxes['track_id'] == track]
            whole = path[(path['x'] > 1) & (path['x'] + path['w'] < 127)]
            if len(whole) > 1:
                seen += 1
                assert len(set(path['class_id'])) == 1
                assert (np.diff(whole['x']) > 0).all() if path['class_id'][0] else (np.diff(whole['x']) < 0).all()
    assert seen > 2


def test_settings_that_cannot_be():
    with pytest.raises(ValueError, match=r'speed is 50 20: must be MIN MAX'):
        EventSceneSettings(speed=(50, 20))
    with pytest.raises(ValueError, match=r'duration is 400: must be above 600 ms'):
        EventSceneSettings(duration=400)
    with pytest.raises(ValueError, match=r'scale is 28 200'):
        EventSceneSettings(scale=(28, 200))
