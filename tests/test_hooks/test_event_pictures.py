"""What visualization hooks draw upon: the window of a recording, the frame of a video, or the image itself."""

import os

import cv2
import numpy as np
import pytest
from mmdet.structures import DetDataSample

from mmsterf.datasets.events import LoadEvents, LoadSequence
from mmsterf.events import EVENT
from mmsterf.hooks.event_pictures import EventPictures

prophesee = pytest.importorskip('evio.formats.prophesee')


class Drawing:
    """A stock hook: opens the images of the samples."""

    draw = True

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self.seen = {os.path.basename(sample.img_path): cv2.imread(sample.img_path) for sample in outputs}
        if runner == 'fails':
            raise RuntimeError

    after_val_iter = after_test_iter


class Hook(EventPictures, Drawing):
    pass


def sample_of(results):
    return DetDataSample(metainfo=dict(img_path=results['img_path']))


def test_pictures_of_windows_and_frames(tmp_path):
    events = np.zeros(4, EVENT)
    events['t'], events['x'], events['p'] = [0, 100, 200, 300], [1, 2, 3, 4], [1, 1, 0, 0]
    prophesee.write(tmp_path / 'a.dat', events, 32, 24)
    window = dict(img_path=str(tmp_path / 'a.dat'), event_end=250)
    recording = sample_of(LoadEvents(2, duration=200)(window))
    named = sample_of(LoadEvents(2, duration=200)({**window, 'sequence': 'street'}))
    writer = cv2.VideoWriter(str(tmp_path / 'v.avi'), cv2.VideoWriter_fourcc(*'MJPG'), 10, (32, 24))
    for i in range(5):
        writer.write(np.full((24, 32, 3), 40 * i, np.uint8))
    writer.release()
    video = sample_of(LoadSequence(2)(dict(img_path=str(tmp_path / 'v.avi'), frame=3)))
    cv2.imwrite(str(tmp_path / 'i.png'), np.zeros((24, 32, 3), np.uint8))
    image = sample_of(dict(img_path=str(tmp_path / 'i.png')))
    samples = [recording, named, video, image]
    paths = [sample.img_path for sample in samples]
    hook = Hook()
    for call in (hook.after_val_iter, hook.after_test_iter):
        call(None, 0, data_batch={}, outputs=samples)
        assert list(hook.seen) == ['a_250.png', 'street_250.png', 'v_3.png', 'i.png']
        drawn = hook.seen['a_250.png'].astype(int)
        # Of the window: a brighter one at column 2, a darker one at 3; not what was before and is behind.
        assert drawn.shape == (24, 32, 3) and (drawn.min(-1) < 250).sum() == 2
        assert drawn[0, 2, 2] > drawn[0, 2, 0] + 50 and drawn[0, 3, 0] > drawn[0, 3, 2] + 50
        assert abs(hook.seen['v_3.png'].mean() - 120) < 5
        assert [sample.img_path for sample in samples] == paths and samples[0].img_path.part == (50, 250, (24, 32))
    with pytest.raises(RuntimeError):
        hook.after_test_iter('fails', 0, outputs=samples)
    assert [sample.img_path for sample in samples] == paths
    hook.draw = False
    with pytest.raises(AttributeError):  # nothing is done for a hook that draws nothing: the sample has no path
        hook.after_test_iter(None, 0, outputs=[DetDataSample()])
