"""A simulated event camera: intensity over time in, events out.

The pixel is that of Gallego et al. (Event-based vision: a survey, TPAMI 2020, section 2): it remembers the logarithm of
the intensity at its last event and sends the next one when the logarithm has moved on by a threshold. What it lacks to
be ideal is taken from Hu, Liu and Delbruck (v2e: From video frames to realistic DVS events, CVPR workshops 2021):
thresholds that differ between pixels, a linear response in the dark, a refractory time, leak and shot noise.
"""

from dataclasses import dataclass

import numpy as np

from mmsterf.errors import InvalidInput

from .recordings import EVENT

LINEAR_BELOW = 20.0
"""Intensity (of 255) below which the response is linear."""
SHOT_IN_LIGHT = 0.25
"""Shot noise at intensity 255 as a part of that in the dark."""


@dataclass(frozen=True)
class CameraSettings:
    """What a camera is like.

    Attributes:
        threshold: Mean change of the natural logarithm of intensity that makes an event.
        threshold_noise: Standard deviation of the thresholds over pixels; each polarity has its own.
        refractory: Microseconds after an event in which a pixel is blind; it then starts from what it sees.
        leak: Events for each pixel and second that come of themselves; they are all brighter ones.
        shot: Likewise, of either polarity, in the dark; fewer in light.
    """

    threshold: float = 0.2
    threshold_noise: float = 0.03
    refractory: int = 1000
    leak: float = 0.1
    shot: float = 1.0

    def __post_init__(self) -> None:
        if not self.threshold > 0:
            raise InvalidInput(f'threshold={self.threshold!r}: a change of log intensity above 0')
        for name in ('threshold_noise', 'refractory', 'leak', 'shot'):
            if not getattr(self, name) >= 0:
                raise InvalidInput(f'{name}={getattr(self, name)!r}: at least 0')


def response(intensity: np.ndarray) -> np.ndarray:
    """Of intensity in 0..255: its natural logarithm, or, below `LINEAR_BELOW`, a line to 0."""
    intensity = np.asarray(intensity, np.float64)
    slope = np.log(LINEAR_BELOW) / LINEAR_BELOW
    return np.where(intensity < LINEAR_BELOW, intensity * slope, np.log(np.maximum(intensity, LINEAR_BELOW)))


class EventCamera:
    """A camera that looks at one frame after the other; intensity moves on a line of its logarithm between them.

    Args:
        frame: What it sees first, (H, W), intensity in 0..255.
        time: When, microseconds.
        settings: What it is like.
        rng: Source of thresholds and noise.
    """

    def __init__(self, frame: np.ndarray, time: int, settings: CameraSettings, rng: np.random.Generator) -> None:
        self.settings, self.rng, self.time, self.shape = settings, rng, int(time), frame.shape
        least = settings.threshold / 10  # a threshold of 0 would send events without end
        self._on, self._off = (
            np.maximum(rng.normal(settings.threshold, settings.threshold_noise, frame.size), least) for _ in range(2)
        )
        self._seen = response(frame).ravel()
        # Pixels do not all start right after an event.
        self._reference = self._seen - rng.uniform(-self._off, self._on)
        self._free = np.full(frame.size, float(time))  # when a pixel sees again
        self._asleep = np.zeros(frame.size, bool)  # it has not yet taken a new reference

    def see(self, frame: np.ndarray, time: int) -> np.ndarray:
        """Events from the last frame up to this one, (N,) of `mmsterf.events.EVENT`, in order of time.

        Args:
            frame: (H, W), intensity in 0..255.
            time: When it is seen, microseconds, after the last one.

        Raises:
            InvalidInput: If the frame is of another size or not later.
        """
        if frame.shape != self.shape or time <= self.time:
            raise InvalidInput(
                f'a frame of {frame.shape} at {time} us; one of {self.shape} after {self.time} us is expected'
            )
        begin, before, after = self.time, self._seen, response(frame).ravel()
        # Leak is as if the scene grew brighter, slowly; the memory of a pixel is of what it has seen so far.
        slope = (after - before) / (time - begin) + self.settings.leak * self._on / 1e6
        parts = [self._shot(frame.ravel(), begin, time)]
        while True:
            woken = np.flatnonzero(self._asleep & (self._free < time))
            self._reference[woken] = before[woken] + slope[woken] * (self._free[woken] - begin)
            self._asleep[woken] = False
            goal = self._reference + np.where(slope > 0, self._on, -self._off)
            end = before + slope * (time - begin)
            crossed = (~self._asleep) & np.where(slope > 0, end >= goal, end <= goal) & (slope != 0)
            pixels = np.flatnonzero(crossed)
            if not len(pixels):
                break
            moment = begin + (goal[pixels] - before[pixels]) / slope[pixels]
            moment = np.maximum(moment, self._free[pixels])
            parts.append(self._send(pixels, moment, slope[pixels] > 0, time))
        # The ramp of the leak is not in what is seen next, so it goes into the memory, the other way round.
        self._reference -= self.settings.leak * self._on / 1e6 * (time - begin) * ~self._asleep
        self.time, self._seen = int(time), after
        events = np.concatenate(parts)
        return events[np.argsort(events['t'], kind='stable')]

    def _shot(self, intensity: np.ndarray, begin: int, end: int) -> np.ndarray:
        """Events of shot noise; they too make a pixel blind for a while, and then start anew."""
        number = self.rng.poisson(self.settings.shot * len(intensity) * (end - begin) / 1e6)
        pixels = np.unique(self.rng.integers(0, len(intensity), number))
        light = 1 - (1 - SHOT_IN_LIGHT) * np.clip(intensity[pixels] / 255, 0, 1)
        moment = self.rng.uniform(begin, end, len(pixels))
        kept = (self.rng.random(len(pixels)) < light) & (moment >= self._free[pixels])
        pixels, moment = pixels[kept], moment[kept]
        return self._send(pixels, moment, self.rng.random(len(pixels)) < 0.5, end)

    def _send(self, pixels: np.ndarray, moment: np.ndarray, brighter: np.ndarray, end: int) -> np.ndarray:
        self._free[pixels] = moment + self.settings.refractory
        self._asleep[pixels] = True
        events = np.empty(len(pixels), EVENT)
        events['y'], events['x'] = np.divmod(pixels, self.shape[1])
        events['t'], events['p'] = np.minimum(moment.astype(np.int64), end - 1), brighter
        return events
