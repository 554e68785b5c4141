"""The order of time steps: shuffled as a control, and of one number in data and model."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmsterf.datasets.events import LoadEvents, ShuffleSteps
from mmsterf.errors import InvalidInput
from mmsterf.events import EVENT

ROOT = Path(__file__).parents[1]


def item(name='a.dat', end=200_000):
    img = np.arange(6 * 8 * 4 * 2, dtype=np.float32).reshape(6, 8, 8)
    return dict(img=img, img_path=f'/somewhere/{name}', event_end=end)


def test_steps_are_shuffled_whole():
    before = item()['img']
    np.random.seed(0)
    orders = set()
    for _ in range(40):
        after = ShuffleSteps(4)(item())['img']
        assert after.shape == before.shape and after.flags['C_CONTIGUOUS']
        # The first value of each step tells which one it was; all of the step came with it.
        order = [int(after[0, 0, 2 * step]) // 2 for step in range(4)]
        assert sorted(order) == [0, 1, 2, 3]
        assert all((after[..., 2 * i : 2 * i + 2] == before[..., 2 * j : 2 * j + 2]).all() for i, j in enumerate(order))
        orders.add(tuple(order))
    assert len(orders) > 10


def test_fixed_orders_are_those_of_windows():
    fixed = ShuffleSteps(4, fixed=True)
    first = fixed(item())['img']
    np.random.rand(3)
    assert (fixed(item())['img'] == first).all()
    others = [fixed(item(end=200_000 + i))['img'] for i in range(1, 6)] + [fixed(item('b.dat'))['img']]
    assert any((other != first).any() for other in others)


def test_steps_that_do_not_fit():
    with pytest.raises(InvalidInput, match=r'time_steps=3 of ShuffleSteps: img has 8 channels'):
        ShuffleSteps(3)(item())
    with pytest.raises(InvalidInput, match=r'time_steps of ShuffleSteps must be a positive integer'):
        ShuffleSteps(0)


def test_the_sensor_of_files_that_do_not_say_it(tmp_path):
    nmnist = pytest.importorskip('evio.formats.nmnist')
    events = np.zeros(10, EVENT)
    events['x'], events['t'] = 20, np.arange(10) * 1000
    nmnist.write(tmp_path / 'a.bin', events)
    path = str(tmp_path / 'a.bin')
    assert LoadEvents(2, sensor=(34, 36))({'img_path': path})['img'].shape == (34, 36, 4)
    # Annotations know better.
    assert LoadEvents(2, sensor=(34, 36))({'img_path': path, 'height': 30, 'width': 40})['img'].shape == (30, 40, 4)
    with pytest.raises(InvalidInput, match=r'`sensor` to LoadEvents'):
        LoadEvents(2)({'img_path': path})
    with pytest.raises(InvalidInput, match=r'sensor=\(0, 34\)'):
        LoadEvents(2, sensor=(0, 34))


def test_steps_of_data_and_backbone():
    """The demo's detector: time ends with the backbone, and the data must have the backbone's steps."""
    from mmdet.registry import MODELS
    from mmengine.registry import DefaultScope

    from mmsterf.engine.config import load_config

    cfg = load_config(str(ROOT / 'configs/events/faster_rcnn_sdtv2_direction.py'))
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(cfg.model).eval()
        inputs = [torch.rand(8, 96, 128), torch.rand(8, 96, 128)]
        batch = model.data_preprocessor({'inputs': inputs})['inputs']
        assert batch.shape == (4, 2, 2, 96, 128)
        assert [tuple(x.shape[:2]) for x in model.extract_feat(batch)] == [(2, 32)] * 5
        cfg.model.data_preprocessor.time_steps = 2
        with pytest.raises(ValueError, match=r'data_preprocessor .* has time_steps=2, but backbone.time_steps is 4'):
            MODELS.build(cfg.model)
