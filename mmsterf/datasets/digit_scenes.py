"""Scenes of handwritten digits on textured backgrounds, with exact instance masks.

The handwriting is scikit-learn's bundled digits data set (1,797 scans of 8 x 8 pixels, ten classes), so that nothing
is downloaded. A scene depends only on its settings and on (seed, split, index), never on the scenes made before it.
Images are BGR, as OpenCV has them.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import cv2
import numpy as np

CLASSES = tuple('0123456789')
TASKS = ('digits', 'far')
DIRECTIONS = ('both', 'rows', 'columns')
MARKS = {'red': (30, 30, 225), 'blue': (225, 30, 30)}
"""Classes of the far task and the colours of their marks, BGR."""
MARK_RADIUS = 6
"""Of marks by default, pixels."""
SPLITS = ('train', 'val')
VAL_FRACTION = 0.2

# An instance keeps at least this part of its strokes, and this many pixels, in view; else it is not put there.
MIN_VISIBLE_FRACTION = 0.65
MIN_VISIBLE_PIXELS = 30
PLACEMENT_TRIES = 20

# Luminance weights of B, G and R: colours are told apart by how different they look bright, mostly.
_LUMA = np.array([0.114, 0.587, 0.299], np.float32)
# Scans are enlarged once, smoothly, with a margin of empty cells; each digit is then warped from that.
_CELL, _MARGIN = 8, 2


@dataclass(frozen=True)
class SceneSettings:
    """What a scene looks like.

    Attributes:
        size: Height and width of the image, pixels.
        digits: Fewest and most digits in a scene. A digit that finds no room is left out, so that a crowded scene may
            have fewer; it has at least one.
        scale: Smallest and largest height of a digit, pixels (the side its 8 x 8 scan is enlarged to).
        rotate: Digits are turned by up to this many degrees either way.
        task: 'digits': a digit's class is what it reads. 'far': a scene has one digit, and its class is the colour of a
            mark, a disc that lies `distance` pixels from the centre of the digit in its rows or columns.
            All else is grey. What the digit reads, where it stands and which way the mark lies say nothing.
        distance: Of the far task, pixels; None otherwise.
        mark_radius: Of the far task, pixels.
        direction: Of the far task: marks lie in the rows of their digits, in the columns, or 'both', as it comes.
        plain: Whether grounds have one colour each instead of textures.
        one_class: Whether all digits are of one class, 'digit', whatever they read; not with the far task.
    """

    size: tuple[int, int] = (160, 160)
    digits: tuple[int, int] = (2, 6)
    scale: tuple[int, int] = (24, 72)
    rotate: float = 25.0
    task: str = 'digits'
    distance: int | None = None
    mark_radius: int = MARK_RADIUS
    direction: str = DIRECTIONS[0]
    plain: bool = False
    one_class: bool = False

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in order of labels."""
        if self.task == 'far':
            return tuple(MARKS)
        return ('digit',) if self.one_class else CLASSES

    def __post_init__(self) -> None:
        if not all(32 <= side <= 4096 for side in self.size):
            raise ValueError(f'size is {_spell(self.size)}: height and width must be within 32..4096 pixels')
        if not 1 <= self.digits[0] <= self.digits[1] <= 50:
            raise ValueError(f'digits is {_spell(self.digits)}: must be MIN MAX with 1 <= MIN <= MAX <= 50')
        if not 16 <= self.scale[0] <= self.scale[1] <= min(self.size):
            raise ValueError(
                f'scale is {_spell(self.scale)}: must be MIN MAX with 16 <= MIN <= MAX <= {min(self.size)} '
                '(the shorter side of the scene)'
            )
        if not 0 <= self.rotate <= 180:
            raise ValueError(f'rotate is {self.rotate:g}: must be within 0..180 degrees')
        if self.task not in TASKS:
            raise ValueError(f'task is {self.task!r}: must be one of {", ".join(TASKS)}')
        if self.direction not in DIRECTIONS:
            raise ValueError(f'direction is {self.direction!r}: must be one of {", ".join(DIRECTIONS)}')
        if self.task == 'digits':
            if self.distance is not None:
                raise ValueError(f'distance is {self.distance}: only --task far has one')
            if self.direction != DIRECTIONS[0]:
                raise ValueError(f'direction is {self.direction!r}: only --task far has one')
            if self.mark_radius != MARK_RADIUS:
                raise ValueError(f'mark-radius is {self.mark_radius}: only --task far has marks')
            return
        if self.one_class:
            raise ValueError('one-class is set: classes of --task far are those of the marks')
        if self.digits != (1, 1):
            raise ValueError(f'digits is {_spell(self.digits)}: must be 1 1 with --task far')
        taken = _reach(self.scale) + self.mark_radius
        least, most = taken, min(self.size) - taken - 1
        if self.distance is None or not least <= self.distance <= most:
            raise ValueError(
                f'distance is {self.distance}: must be within {least}..{most} pixels with a size of '
                f'{_spell(self.size)}, digits of up to {self.scale[1]} pixels and a mark of radius {self.mark_radius}'
            )


@dataclass(frozen=True)
class Scene:
    """One scene.

    Attributes:
        image: uint8 (H, W, 3), BGR.
        instances: uint8 (H, W); 0 is background, k the visible strokes of the k-th digit (later ones are on top).
        labels: The class of digit 1, 2, ...: an index into the settings' `classes`.
        scans: Which of the 1,797 scans each digit was made from.
        mark: Row and column of the mark of the far task.
    """

    image: np.ndarray
    instances: np.ndarray
    labels: tuple[int, ...]
    scans: tuple[int, ...]
    mark: tuple[int, int] | None = None


def _reach(scale: tuple[int, int]) -> int:
    """Pixels that digits are at most wide to either side of their centre, turned and stretched as they are."""
    return -(-7 * scale[1] // 10)


def _spell(values: tuple) -> str:
    return ' '.join(map(str, values))


@functools.cache
def load_scans() -> tuple[np.ndarray, np.ndarray]:
    """All scans: float32 (1797, 8, 8) in 0..1 (each scan's darkest stroke is 1) and their classes, int64 (1797,).

    Raises:
        ModuleNotFoundError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            'the digit scenes are made from the scans that come with scikit-learn, which is not installed: '
            'pip install scikit-learn'
        ) from error
    data = load_digits()
    scans = data.images.astype(np.float32)
    scans, labels = scans / scans.max(axis=(1, 2), keepdims=True), data.target.astype(np.int64)
    scans.flags.writeable = labels.flags.writeable = False  # all callers share them
    return scans, labels


def split_scans(labels: np.ndarray, split: str) -> np.ndarray:
    """Indices of the scans of one split, int64, ascending.

    Of each class the last fifth is for validation. Neighbours in the file tend to be by one hand, so that this asks
    more than a random split: a support vector machine gets 95.8 % of it right, and 99.4 % of a random fifth. It depends
    on nothing else: no seed can mix the two.

    Args:
        labels: Classes of all scans, (N,).
        split: 'train' or 'val'.
    """
    if split not in SPLITS:
        raise ValueError(f'unknown split {split!r}: must be one of {", ".join(SPLITS)}')
    chosen = []
    for label in np.unique(labels):
        indices = np.flatnonzero(labels == label)
        first_val = len(indices) - round(len(indices) * VAL_FRACTION)
        chosen.append(indices[:first_val] if split == 'train' else indices[first_val:])
    return np.sort(np.concatenate(chosen))


def draw_strokes(rng: np.random.Generator, scan: np.ndarray, settings: SceneSettings) -> np.ndarray:
    """A scan as it is laid into a scene: enlarged, turned, slanted, its pen a little thicker or thinner.

    Args:
        rng: Source of the variation.
        scan: float32 (8, 8) in 0..1.
        settings: Gives ranges of scale and rotation.

    Returns:
        Opacity in 0..1, float32 (h, w). Pixels of at least a half are the digit's mask; the patch has one more pixel
        on each side.
    """
    scale = np.exp(rng.uniform(*np.log(settings.scale)))
    angle = np.deg2rad(rng.uniform(-settings.rotate, settings.rotate))
    stretch, slant = rng.uniform(0.85, 1.15), rng.uniform(-0.2, 0.2)
    threshold = rng.uniform(0.35, 0.55)

    padded = np.pad(scan, _MARGIN)
    smooth = cv2.resize(padded, None, fx=_CELL, fy=_CELL, interpolation=cv2.INTER_CUBIC)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = turn @ np.array([[stretch, slant], [0.0, 1.0]]) * scale / (8 * _CELL)
    side = int(np.ceil(2 * scale))
    # The centre of the enlarged scan goes to the centre of the patch; pixel centres have whole coordinates.
    shift = (side - 1) / 2 - matrix @ np.full(2, (smooth.shape[0] - 1) / 2)
    value = cv2.warpAffine(smooth, np.column_stack([matrix, shift]), (side, side), flags=cv2.INTER_LINEAR)

    # From stroke to paper takes about one cell, scale / 8 pixels: this makes the edge about one pixel wide.
    alpha = np.clip(0.5 + (value - threshold) * scale / 8, 0, 1).astype(np.float32)
    rows, columns = (np.flatnonzero((alpha >= 0.5).any(axis)) for axis in (1, 0))
    return alpha[max(rows[0] - 1, 0) : rows[-1] + 2, max(columns[0] - 1, 0) : columns[-1] + 2]


def _noise(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Noise at several scales, float32 (H, W), about 0..1; a random exponent makes it cloudy or rough."""
    field, roughness, cells = np.zeros(size, np.float32), rng.uniform(0.4, 0.85), 3
    amplitude = 1.0
    while cells < min(size):
        coarse = rng.standard_normal((cells, cells), np.float32)
        field += amplitude * cv2.resize(coarse, size[::-1], interpolation=cv2.INTER_CUBIC)
        amplitude, cells = amplitude * roughness, cells * 2
    return 0.5 + field / (4 * field.std())


def _pattern(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A gradient, rings, stripes, checks or dots, float32 (H, W) in 0..1."""
    y, x = np.mgrid[: size[0], : size[1]].astype(np.float32)
    angle, phase = rng.uniform(0, np.pi), rng.uniform(0, 2 * np.pi, 2)
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    wave = 2 * np.pi / rng.uniform(8, 48)
    kind = rng.integers(5)
    if kind == 0:
        return (u - u.min()) / (u.max() - u.min())
    if kind == 1:
        radius = np.hypot(x - rng.uniform(0, size[1]), y - rng.uniform(0, size[0]))
        return 0.5 + 0.5 * np.sin(wave * radius)
    if kind == 2:
        field = np.sin(wave * u + phase[0])
    elif kind == 3:
        field = np.sin(wave * u + phase[0]) * np.sin(wave * v + phase[1])
    else:
        field = np.sin(wave * u + phase[0]) + np.sin(wave * v + phase[1]) - 1
    return np.clip(0.5 + field * rng.uniform(0.5, 4), 0, 1)


def draw_background(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A textured background of two colours and some tint, float32 (H, W, 3) in about 0..255.

    Args:
        rng: Source of the variation.
        size: Height and width, pixels.
    """
    first = rng.uniform(20, 235, 3).astype(np.float32)
    second = np.clip(first + rng.uniform(-80, 80, 3), 10, 245).astype(np.float32)
    weight = rng.uniform(0.2, 1)
    blend = np.clip(weight * _noise(rng, size) + (1 - weight) * _pattern(rng, size), 0, 1)
    tint = (_noise(rng, size)[..., None] - 0.5) * rng.uniform(-40, 40, 3).astype(np.float32)
    return first + blend[..., None] * (second - first) + tint


def _pick_colour(rng: np.random.Generator, under: np.ndarray) -> np.ndarray:
    """A colour that stands out from the pixels `under` it, (N, 3): from nine in ten of them by a random contrast."""
    contrast = rng.uniform(45, 110)
    candidates = rng.uniform(0, 255, (32, 3)).astype(np.float32)
    under = under[:: max(1, len(under) // 64)]
    distance = np.sqrt((np.square(candidates[:, None] - under[None]) * _LUMA).sum(-1))
    distance = np.quantile(distance, 0.1, axis=1)
    good = np.flatnonzero(distance >= contrast)
    return candidates[good[0] if len(good) else distance.argmax()]


def _place(rng: np.random.Generator, alpha: np.ndarray, instances: np.ndarray, areas: list[int]):
    """Find room for one more digit such that enough is seen of it and of every digit below it.

    Returns:
        (window, part): index of the pixels of the scene it covers, and its opacity there; None if there is no room.
    """
    (h, w), (height, width) = alpha.shape, instances.shape
    areas = np.array([*areas, np.count_nonzero(alpha >= 0.5)])
    needed = np.maximum(MIN_VISIBLE_FRACTION * areas, MIN_VISIBLE_PIXELS)
    for _ in range(PLACEMENT_TRIES):
        top, left = (int(rng.uniform(-0.1 * a, b - 0.9 * a)) for a, b in ((h, height), (w, width)))
        window = np.s_[max(top, 0) : top + h, max(left, 0) : left + w]
        part = alpha[max(-top, 0) : height - top, max(-left, 0) : width - left]
        after = instances.copy()
        after[window][part >= 0.5] = len(areas)
        if (np.bincount(after.ravel(), minlength=len(areas) + 1)[1:] >= needed).all():
            return window, part
    return None


def _expose(rng: np.random.Generator, image: np.ndarray) -> np.ndarray:
    """The picture that a camera takes, uint8: uneven light and the grain of the sensor lie on everything."""
    image = image * (1 + rng.uniform(0, 0.25) * (_noise(rng, image.shape[:2])[..., None] - 0.5))
    image += rng.uniform(2, 7) * rng.standard_normal(image.shape, np.float32)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _far_scene(rng: np.random.Generator, image: np.ndarray, pool: np.ndarray, settings: SceneSettings) -> Scene:
    """A scene of the far task; its label, digit, place and direction are drawn one by one, of each other unaware."""
    label, axis, sign = (int(rng.integers(count)) for count in (len(MARKS), 2, 2))
    axis = {'rows': 1, 'columns': 0}.get(settings.direction, axis)
    offset = np.zeros(2, int)
    offset[axis] = (2 * sign - 1) * settings.distance
    reach = _reach(settings.scale)
    # Both the digit and the mark lie inside.
    low = np.maximum(reach, settings.mark_radius - offset)
    high = np.minimum(np.subtract(settings.size, reach), settings.size - offset - settings.mark_radius)
    centre = rng.integers(low, high)
    mark = centre + offset

    scan = int(rng.choice(pool))
    alpha = draw_strokes(rng, load_scans()[0][scan], settings)
    top, left = centre - np.array(alpha.shape) // 2
    window = np.s_[top : top + alpha.shape[0], left : left + alpha.shape[1]]
    instances = np.zeros(settings.size, np.uint8)
    instances[window] = alpha >= 0.5
    # All else is grey, so that a glance at all of the picture is enough.
    image = np.repeat(image.mean(-1, keepdims=True), 3, axis=-1)
    level, contrast = image[window][alpha >= 0.5].mean(), rng.uniform(50, 110)
    lighter = level < contrast or (level + contrast <= 255 and rng.random() < 0.5)
    image[window] += alpha[..., None] * (level + (contrast if lighter else -contrast) - image[window])
    rows, columns = np.mgrid[: settings.size[0], : settings.size[1]]
    disc = np.hypot(rows - mark[0], columns - mark[1]) <= settings.mark_radius + 0.5
    image[disc] = tuple(MARKS.values())[label]
    return Scene(_expose(rng, image), instances, (label,), (scan,), (int(mark[0]), int(mark[1])))


def make_scene(split: str, seed: int, index: int, settings: SceneSettings | None = None) -> Scene:
    """The scene with this number: the same arguments give the same scene, whatever was made before.

    Args:
        split: 'train' or 'val'; the two share no scan.
        seed: Of the whole data set, at least 0.
        index: Number of the scene within its split, from 0.
        settings: What it looks like; default :class:`SceneSettings`.
    """
    settings = settings or SceneSettings()
    scans, scan_labels = load_scans()
    pool = split_scans(scan_labels, split)
    rng = np.random.default_rng([seed, SPLITS.index(split), index])

    image = draw_background(rng, settings.size)
    if settings.plain:
        image[:] = image.mean((0, 1))
    if settings.task == 'far':
        return _far_scene(rng, image, pool, settings)
    instances = np.zeros(settings.size, np.uint8)
    areas, chosen = [], []
    wanted = rng.integers(settings.digits[0], settings.digits[1] + 1)
    while not chosen:
        for _ in range(wanted):
            scan = int(rng.choice(pool))
            alpha = draw_strokes(rng, scans[scan], settings)
            place = _place(rng, alpha, instances, areas)
            if place is None:
                continue
            window, part = place
            inside = part >= 0.5
            colour = _pick_colour(rng, image[window][inside])
            image[window] += part[..., None] * (colour - image[window])
            areas.append(np.count_nonzero(alpha >= 0.5))
            chosen.append(scan)
            instances[window][inside] = len(chosen)

    image = _expose(rng, image)
    labels = (0 if settings.one_class else int(scan_labels[scan]) for scan in chosen)
    return Scene(image, instances, tuple(labels), tuple(chosen))
