"""Moving handwriting as an event camera sees it: recordings with boxes, in Prophesee's layout.

The digits are the scans of `digit_scans`, each brighter or darker than the ground, at random. They cross the sensor to
the left or to the right at rows of their own, and come in again on the other side when they have left it, so that where
a digit is says nothing about which way it goes. The camera is `mmsterf.events.camera`. A recording depends on its
settings and on (seed, split, index) alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np

from mmsterf.events import EVENT
from mmsterf.events.camera import CameraSettings, EventCamera

from .digit_scans import draw_strokes, load_scans, split_scans
from .scene_settings import CLASSES, SPLITS, SceneSettings

CLASS_SETS = {'digits': CLASSES, 'direction': ('left', 'right')}
"""What the class of a box says, and the names of the classes in order."""
BOX = np.dtype(
    [('ts', '<u8'), ('x', '<f4'), ('y', '<f4'), ('w', '<f4'), ('h', '<f4'), ('class_id', 'u1'),
     ('class_confidence', '<f4'), ('track_id', '<u4')]
)  # fmt: skip
"""A box in `*_bbox.npy` files, as Gen1 has them: microseconds, upper left corner and size in pixels."""
FIRST_LABEL = 600_000
"""Microseconds; the protocol of Prophesee's toolbox leaves out the boxes of the first half second."""
MIN_VISIBLE = 0.65
"""Part of a digit's strokes that is on the sensor where it has a box."""
PATH_STEP = 0.5
"""Pixels that the fastest digit moves between two frames that the camera is shown."""
WOBBLE = 3.0
"""Largest movement up and down, either way, pixels."""


@dataclass(frozen=True)
class EventSceneSettings:
    """What recordings are like.

    Attributes:
        size: Height and width of the sensor, pixels.
        digits: Fewest and most digits in a recording; those that find no rows of their own are left out.
        scale: Smallest and largest height of a digit, pixels.
        rotate: Digits are turned by up to this many degrees either way.
        speed: Smallest and largest speed, pixels a second.
        contrast: Smallest and largest distance of a digit from its ground, of natural logarithms of intensity.
        duration: Of a recording, milliseconds.
        every: Distance of labelled moments, milliseconds; the first is at 600.
    """

    size: tuple[int, int] = (96, 128)
    digits: tuple[int, int] = (1, 3)
    scale: tuple[int, int] = (28, 42)
    rotate: float = 15.0
    speed: tuple[float, float] = (50.0, 160.0)
    contrast: tuple[float, float] = (0.5, 1.2)
    duration: int = 1700
    every: int = 200

    def __post_init__(self) -> None:
        # Whatever a scene of pictures cannot be, these cannot be either.
        SceneSettings(self.size, self.digits, self.scale, self.rotate)
        for name, low in (('speed', 1), ('contrast', 0.1)):
            first, last = getattr(self, name)
            if not low <= first <= last:
                raise ValueError(f'{name} is {first:g} {last:g}: must be MIN MAX with {low} <= MIN <= MAX')
        if self.every < 1:
            raise ValueError(f'every is {self.every}: must be at least 1 ms')
        if self.duration * 1000 <= FIRST_LABEL:
            raise ValueError(f'duration is {self.duration}: must be above {FIRST_LABEL // 1000} ms, the first label')

    @property
    def moments(self) -> range:
        """Labelled moments, microseconds."""
        return range(FIRST_LABEL, self.duration * 1000, self.every * 1000)


class EventScene(NamedTuple):
    """A recording.

    Attributes:
        events: (N,) of `mmsterf.events.EVENT`.
        boxes: By class set of `CLASS_SETS`: (M,) of `BOX`.
        scans: Which scans the digits are.
    """

    events: np.ndarray
    boxes: dict
    scans: tuple[int, ...]


@dataclass
class _Digit:
    alpha: np.ndarray
    label: int
    row: float
    start: float
    speed: float  # pixels a second, to the right above 0
    level: float
    wobble: tuple  # amplitude, angular frequency, phase

    def place(self, time: float, width: int) -> tuple[float, float, int]:
        """Row and column of the patch, and how often it has come in anew."""
        amplitude, frequency, phase = self.wobble
        period = width + self.alpha.shape[1]
        passes, column = divmod(self.start + self.speed * time, period)
        row = self.row + amplitude * np.sin(frequency * time + phase)
        return row, column - self.alpha.shape[1], int(passes)

    def opacity(self, time: float, size: tuple[int, int]) -> np.ndarray:
        """What it covers of the sensor, float32 (H, W)."""
        row, column, _ = self.place(time, size[1])
        shift = np.array([[1, 0, column], [0, 1, row]])
        return cv2.warpAffine(self.alpha, shift, size[::-1], flags=cv2.INTER_LINEAR)


def _digits(rng: np.random.Generator, pool: np.ndarray, ground: float, settings: EventSceneSettings) -> tuple:
    scans, labels = load_scans()
    look = SceneSettings(settings.size, settings.digits, settings.scale, settings.rotate)
    height, width = settings.size
    wanted, digits, chosen, needed = rng.integers(settings.digits[0], settings.digits[1] + 1), [], [], []
    for _ in range(wanted):
        scan = int(rng.choice(pool))
        alpha = draw_strokes(rng, scans[scan], look)
        speed = np.exp(rng.uniform(*np.log(settings.speed))) * rng.choice([-1, 1])
        level = ground * np.exp(rng.uniform(*settings.contrast) * rng.choice([-1, 1]))
        wobble = rng.uniform(0, WOBBLE), 2 * np.pi * rng.uniform(0.3, 1.5), rng.uniform(0, 2 * np.pi)
        start = rng.uniform(0, width + alpha.shape[1])
        needs = alpha.shape[0] + 2 * wobble[0]
        if sum(needed) + needs > height and digits:
            continue
        digits.append(_Digit(alpha, int(labels[scan]), 0.0, start, speed, min(level, 250.0), wobble))
        chosen.append(scan)
        needed.append(needs)
    # What is left of the rows goes between them.
    row, spare = 0.0, np.sort(rng.uniform(0, max(height - sum(needed), 0), len(digits)))
    for index, gap in zip(rng.permutation(len(digits)), np.diff(spare, prepend=0)):
        digits[index].row = row + gap + digits[index].wobble[0]
        row += gap + needed[index]
    return digits, tuple(chosen)


def _ground(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A cloudy ground that leaves room for darker and brighter digits, (H, W) in 0..255."""
    coarse = rng.standard_normal((6, 8)).astype(np.float32)
    clouds = cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
    return np.exp(np.log(rng.uniform(50, 90)) + 0.08 * clouds)


def _boxes(digits: list[_Digit], settings: EventSceneSettings) -> dict:
    rows = {name: [] for name in CLASS_SETS}
    for moment in settings.moments:
        for number, digit in enumerate(digits):
            covered = digit.opacity(moment / 1e6, settings.size) >= 0.5
            if covered.sum() < MIN_VISIBLE * (digit.alpha >= 0.5).sum():
                continue
            high, wide = (np.flatnonzero(covered.any(axis)) for axis in (1, 0))
            passes = digit.place(moment / 1e6, settings.size[1])[2]
            box = wide[0], high[0], wide[-1] + 1 - wide[0], high[-1] + 1 - high[0]
            track = number + len(digits) * abs(passes)
            for name, label in (('digits', digit.label), ('direction', int(digit.speed > 0))):
                rows[name].append((moment, *box, label, 1.0, track))
    return {name: np.array(content, BOX) for name, content in rows.items()}


def make_event_scene(
    split: str,
    seed: int,
    index: int,
    settings: EventSceneSettings | None = None,
    camera: CameraSettings | None = None,
) -> EventScene:
    """The recording with this number: the same arguments give the same one, whatever was made before.

    Args:
        split: 'train' or 'val'; the two share no scan.
        seed: Of the whole data set, at least 0.
        index: Number of the recording within its split, from 0.
        settings: What it is like; default :class:`EventSceneSettings`.
        camera: What the camera is like; default :class:`mmsterf.events.camera.CameraSettings`.
    """
    settings, camera = settings or EventSceneSettings(), camera or CameraSettings()
    pool = split_scans(load_scans()[1], split)
    rng = np.random.default_rng([seed, SPLITS.index(split), index])
    ground = _ground(rng, settings.size)
    digits, scans = _digits(rng, pool, float(ground.mean()), settings)

    def frame(time: float) -> np.ndarray:
        seen = ground.copy()
        for digit in digits:
            seen += digit.opacity(time, settings.size) * (digit.level - seen)
        return seen

    fastest = max(abs(digit.speed) for digit in digits)
    count = int(np.ceil(fastest * settings.duration / 1000 / PATH_STEP))
    times = np.linspace(0, settings.duration * 1000, count + 1).astype(int)
    eye = EventCamera(frame(0), 0, camera, rng)
    events = [eye.see(frame(time / 1e6), int(time)) for time in times[1:]]
    return EventScene(np.concatenate(events) if events else np.empty(0, EVENT), _boxes(digits, settings), scans)
