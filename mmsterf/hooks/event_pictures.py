"""Stock visualization hooks for event recordings and videos: they get a picture of what was loaded."""

import os
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from itertools import islice
from tempfile import TemporaryDirectory

import cv2

from mmsterf.engine.videos import is_video, video_frames
from mmsterf.events import is_recording, open_recording
from mmsterf.events.drawing import picture
from mmsterf.events.rectify import rectified
from mmsterf.registry import HOOKS


class EventPictures:
    """Mixin of a visualization hook of mmdet or mmseg: boxes, masks and label maps are drawn over events.

    A recording's window is drawn as `mmsterf.events.drawing` does, of a video the labelled frame, at the size of the
    sensor; pictures are named by recording and end of the window. Images are left to the stock hook.
    """

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """As the stock hook's."""
        with self._pictured(outputs):
            super().after_val_iter(runner, batch_idx, data_batch=data_batch, outputs=outputs)

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """As the stock hook's."""
        with self._pictured(outputs):
            super().after_test_iter(runner, batch_idx, data_batch=data_batch, outputs=outputs)

    @contextmanager
    def _pictured(self, outputs):
        """Let `img_path` of the samples be that of a picture meanwhile."""
        with ExitStack() as ends:
            for sample in outputs if self.draw else ():
                path = sample.img_path
                if is_recording(path) or is_video(path):
                    folder = ends.enter_context(TemporaryDirectory(prefix='mmsterf_events_'))
                    sample.set_metainfo({'img_path': _write(path, folder)})
                    ends.callback(sample.set_metainfo, {'img_path': path})
            yield


def _write(path, folder: str) -> str:
    """A picture of what was loaded of a recording or video (see `mmsterf.datasets.events.Place`)."""
    if is_recording(path):
        start, stop, size = path.part
        events = open_recording(path).window(stop, stop - start).events
        events = rectified(events, path.rectify_map) if path.rectify_map else events
        image, name = picture(events, size), f'{path.name}_{stop}'
    else:
        (frame,) = path.part
        frames = video_frames(path)
        *_, image = frames if frame is None else islice(frames, frame, frame + 1)
        name = path.name if frame is None else f'{path.name}_{frame}'
    file = os.path.join(folder, f'{name}.png')
    cv2.imwrite(file, image)
    return file


if find_spec('mmdet'):
    from mmdet.engine.hooks import DetVisualizationHook

    @HOOKS.register_module()
    class EventDetVisualizationHook(EventPictures, DetVisualizationHook):
        """mmdet's DetVisualizationHook, with its arguments, over pictures of events."""


if find_spec('mmseg'):
    from mmseg.engine.hooks import SegVisualizationHook

    @HOOKS.register_module()
    class EventSegVisualizationHook(EventPictures, SegVisualizationHook):
        """mmseg's SegVisualizationHook, with its arguments, over pictures of events."""
