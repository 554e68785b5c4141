"""Loading steps for recordings of event cameras and for sequences of images: time goes into the channels of `img`."""

import os
import zlib
from typing import Optional

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.logging import print_log

from mmsterf.engine.image_files import read_image
from mmsterf.engine.inputs import find
from mmsterf.engine.videos import is_video, video_frames
from mmsterf.errors import InvalidInput
from mmsterf.events import Recording, open_recording, to_steps
from mmsterf.events.rectify import rectified
from mmsterf.ranges import check_count
from mmsterf.registry import TRANSFORMS

_SAID: set = set()


class Place(str):
    """Path of a recording or a video that knows which part of it was loaded: every stock packing step keeps it.

    Attributes:
        part (tuple): Begin and end of a window, microseconds, and height and width of the sensor; or (frame,), None for
            the last one.
        name (str): Of the recording: its `sequence` if the data set tells it, else its file's without the suffix.
        rectify_map (str, optional): As of `LoadEvents`.
    """

    part: tuple = ()
    name = ''
    rectify_map: Optional[str] = None

    @classmethod
    def of(cls, results: dict, *part) -> 'Place':
        """The `img_path` of results, with a part."""
        place = cls(results['img_path'])
        place.part, place.rectify_map = part, results.get('rectify_map')
        place.name = results.get('sequence') or os.path.splitext(os.path.basename(place))[0]
        return place


@TRANSFORMS.register_module()
class LoadEvents(BaseTransform):
    """Load a window of events as `img`, float32 (H, W, time_steps * C), time before channels.

    Required keys: `img_path`, a recording (`mmsterf.events.SUFFIXES`). `height` and `width` are those of the sensor;
    without them the file's own are taken, if it says them, or `sensor`. `event_end`, microseconds, is the end of the
    window, the recording's by default. A window that begins before the recording is empty there. Events outside the
    sensor are left out, ones out of order sorted; both are counted in a warning, once for each file. `rectify_map` is a
    file as DSEC's, where events go in the rectified view.

    Added keys: `img`, `img_shape`, `ori_shape`, `num_events` (in the window and inside the sensor), `event_start`,
    `event_end`.

    Args:
        time_steps (int): T.
        representation (str): 'count', 'binary' or 'voxel', as in `mmsterf.events.to_steps`.
        duration (int, optional): Length of the window, microseconds; everything before its end by default.
        signed (bool): One map of brighter minus darker events instead of two.
        bins (int): Parts of each time step, with maps of their own.
        clip (float, optional): Largest value.
        scale (float, optional): Values are divided by it.
        sensor (tuple, optional): Height and width where neither the annotations nor the file say them.

    Raises:
        InvalidInput: If the file cannot be read, the size of the sensor is not known, no event is inside it, or the
            window lies before or after the recording.
    """

    def __init__(
        self,
        time_steps: int,
        representation: str = 'count',
        duration: Optional[int] = None,
        signed: bool = False,
        bins: int = 1,
        clip: Optional[float] = None,
        scale: Optional[float] = None,
        sensor: Optional[tuple] = None,
    ) -> None:
        self.duration, self.sensor = duration, sensor
        self.options = dict(
            time_steps=time_steps, representation=representation, signed=signed, bins=bins, clip=clip, scale=scale
        )
        # What is wrong with these is said now, not at the first file.
        to_steps(np.empty(0, [('x', int), ('y', int), ('t', int), ('p', int)]), 0, 1, (1, 1), **self.options)
        if duration is not None and not duration > 0:
            raise InvalidInput(f'duration={duration!r}: microseconds above 0, or None for everything before the end')
        if sensor is not None and not (len(sensor) == 2 and all(side == int(side) > 0 for side in sensor)):
            raise InvalidInput(f'sensor={sensor!r}: (height, width) in pixels, or None')

    def transform(self, results: dict) -> dict:
        """Results with the window as `img`."""
        path = results['img_path']
        recording = open_recording(path)
        size = _sensor(results, recording, self.sensor)
        window = recording.window(results.get('event_end'), self.duration)
        events = window.events
        if results.get('rectify_map'):
            events = rectified(events, results['rectify_map'])
        inside = (events['x'] >= 0) & (events['x'] < size[1]) & (events['y'] >= 0) & (events['y'] < size[0])
        outside = len(events) - int(inside.sum())
        if outside and outside == len(events):
            raise InvalidInput(
                f'{path}: all {outside} events from {window.start} to {window.stop} us lie outside the sensor of width '
                f'{size[1]} and height {size[0]}: columns are {events["x"].min()} to {events["x"].max()}, rows '
                f'{events["y"].min()} to {events["y"].max()}'
            )
        for count, what in (
            (outside, f'events outside the sensor of width {size[1]} and height {size[0]} are left out'),
            (window.unsorted, 'events stand before earlier ones; they are sorted'),
            (recording.left_over, 'bytes at its end are no whole event, and left out; was it cut off?'),
        ):
            if count and (path, what) not in _SAID:
                _SAID.add((path, what))
                print_log(f'{path}: {count} {what} (said once)', logger='current', level=30)
        events = events[inside] if outside else events
        maps = to_steps(events, window.start, window.stop, size, **self.options)
        results['img'] = np.ascontiguousarray(maps.reshape(-1, *size).transpose(1, 2, 0))
        results['img_shape'] = results['ori_shape'] = size
        results['height'], results['width'] = size
        results['scale_factor'] = (1.0, 1.0)  # until something resizes
        results['num_events'] = len(events)
        results['event_start'], results['event_end'] = window.start, window.stop
        results['img_path'] = Place.of(results, window.start, window.stop, size)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.options}, duration={self.duration})'


def _sensor(results: dict, recording: Recording, otherwise: Optional[tuple]) -> tuple:
    size = results.get('height'), results.get('width')
    size = recording.size or otherwise if None in size else size
    if size is None:
        raise InvalidInput(
            f'{recording.path}: does not say how large its sensor is: give `height` and `width` beside `img_path`, or '
            '`sensor` to LoadEvents'
        )
    if not all(isinstance(side, (int, float, np.integer)) and side >= 1 for side in size):
        raise InvalidInput(f'{recording.path}: height {size[0]} and width {size[1]} of its sensor; both at least 1')
    return int(size[0]), int(size[1])


@TRANSFORMS.register_module()
class ShuffleSteps(BaseTransform):
    """Put the time steps of `img`, (H, W, time_steps * C), into a random order.

    A control: what a model loses by it, it has learned from the order of events in time.

    Args:
        time_steps (int): T, as of the loading step.
        fixed (bool): Each window has an order of its own that never changes, for evaluation; a new one each time by
            default.

    Raises:
        InvalidInput: If the channels are not those of so many steps.
    """

    def __init__(self, time_steps: int, fixed: bool = False) -> None:
        check_count('time_steps of ShuffleSteps', time_steps)
        self.time_steps, self.fixed = time_steps, fixed

    def transform(self, results: dict) -> dict:
        """Results with the steps of `img` in another order."""
        img = results['img']
        if img.shape[2] % self.time_steps:
            raise InvalidInput(
                f'time_steps={self.time_steps} of ShuffleSteps: img has {img.shape[2]} channels, which are not those '
                'of so many steps'
            )
        name = f'{os.path.basename(results["img_path"])} {results.get("event_end")}'
        rng = np.random.default_rng(zlib.crc32(name.encode())) if self.fixed else np.random
        steps = img.reshape(*img.shape[:2], self.time_steps, -1)[:, :, rng.permutation(self.time_steps)]
        results['img'] = np.ascontiguousarray(steps.reshape(img.shape))
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(time_steps={self.time_steps}, fixed={self.fixed})'


@TRANSFORMS.register_module()
class LoadSequence(BaseTransform):
    """Load `time_steps` images up to the labelled one as `img`, uint8 (H, W, time_steps * 3), the earliest first.

    Required keys: `img_path`, an image, whose folder holds those before it (in natural order of their names), or a
    video, of which `frame` (counted from 0, the last one by default) is the labelled one. Where a sequence begins with
    fewer images before the label, the first one stands in for them.

    Args:
        time_steps (int): T.
        stride (int): Every how many images one is taken, back from the labelled one.

    Raises:
        InvalidInput: If an image or the video cannot be read, images are of different sizes, or there is no such frame.
    """

    def __init__(self, time_steps: int, stride: int = 1) -> None:
        for name, value in (('time_steps', time_steps), ('stride', stride)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise InvalidInput(f'{name}={value!r}: a whole number of at least 1')
        self.time_steps, self.stride = time_steps, stride

    def transform(self, results: dict) -> dict:
        """Results with the sequence as `img`."""
        path = results['img_path']
        names, images = self._of_video(path, results.get('frame')) if is_video(path) else self._of_folder(path)
        for name, image in zip(names, images):
            if image.shape != images[-1].shape:
                raise InvalidInput(
                    f'{name}: is of {image.shape[1]} x {image.shape[0]}, and {names[-1]} of {images[-1].shape[1]} x '
                    f'{images[-1].shape[0]}: images of a sequence must be of one size'
                )
        results['img'] = np.concatenate(images, 2)
        results['img_path'] = Place.of(results, results.get('frame')) if is_video(path) else path
        results['img_shape'] = results['ori_shape'] = images[-1].shape[:2]
        results['height'], results['width'] = images[-1].shape[:2]
        results['scale_factor'] = (1.0, 1.0)
        return results

    def _of_folder(self, path: str) -> tuple:
        folder = os.path.dirname(path) or '.'
        names = [name for name in find([folder], 'sequence') if not is_video(name)]
        names = [os.path.normpath(name) for name in names]
        try:
            at = names.index(os.path.normpath(path))
        except ValueError:
            raise InvalidInput(f'{path}: is not there, among the {len(names)} images of {folder}') from None
        chosen = [names[max(at - i * self.stride, 0)] for i in reversed(range(self.time_steps))]
        return chosen, [read_image(name, 'sequence').pixels for name in chosen]

    def _of_video(self, path: str, frame: Optional[int]) -> tuple:
        kept, number = [], -1
        for number, image in enumerate(video_frames(path)):
            kept.append(image)
            # As many as reach back to the first step's.
            kept = kept[-((self.time_steps - 1) * self.stride + 1) :]
            if number == frame:
                break
        if frame is not None and number != frame:
            raise InvalidInput(f'{path}: has no frame {frame}; it has {number + 1}, from 0')
        chosen = [max(len(kept) - 1 - i * self.stride, 0) for i in reversed(range(self.time_steps))]
        return [f'{path} frame {number - (len(kept) - 1 - i)}' for i in chosen], [kept[i] for i in chosen]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(time_steps={self.time_steps}, stride={self.stride})'
