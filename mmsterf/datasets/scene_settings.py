"""What digit scenes can look like, and which settings are none."""

from __future__ import annotations

from dataclasses import dataclass

CLASSES = tuple('0123456789')
SPLITS = ('train', 'val')
TASKS = ('digits', 'far', 'cls')
DIRECTIONS = ('both', 'rows', 'columns')
MARKS = {'red': (30, 30, 225), 'blue': (225, 30, 30)}
"""Classes of the far task and the colours of their marks, BGR."""
MARK_RADIUS = 6
"""Of marks by default, pixels."""


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
            'cls': one digit in each picture, which is of the digit's class as a whole. Training pictures lie anywhere
            between light strokes on a dark ground and what scenes look like; validation pictures look like scenes.
        distance: Of the far task, pixels; None otherwise.
        mark_radius: Of the far task, pixels.
        direction: Of the far task: marks lie in the rows of their digits, in the columns, or 'both', as it comes.
        plain: Whether grounds have one colour each instead of textures.
        one_class: Whether all digits are of one class, 'digit', whatever they read; with the task 'digits' only.
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
        if self.task != 'far':
            if self.distance is not None:
                raise ValueError(f'distance is {self.distance}: only --task far has one')
            if self.direction != DIRECTIONS[0]:
                raise ValueError(f'direction is {self.direction!r}: only --task far has one')
            if self.mark_radius != MARK_RADIUS:
                raise ValueError(f'mark-radius is {self.mark_radius}: only --task far has marks')
        if self.task == 'digits':
            return
        if self.one_class:
            of = 'those of the marks' if self.task == 'far' else 'the ten digits'
            raise ValueError(f'one-class is set: classes of --task {self.task} are {of}')
        if self.digits != (1, 1):
            raise ValueError(f'digits is {_spell(self.digits)}: must be 1 1 with --task {self.task}')
        if self.task == 'cls':
            return
        taken = reach(self.scale) + self.mark_radius
        least, most = taken, min(self.size) - taken - 1
        if self.distance is None or not least <= self.distance <= most:
            raise ValueError(
                f'distance is {self.distance}: must be within {least}..{most} pixels with a size of '
                f'{_spell(self.size)}, digits of up to {self.scale[1]} pixels and a mark of radius {self.mark_radius}'
            )


def reach(scale: tuple[int, int]) -> int:
    """Pixels that digits are at most wide to either side of their centre, turned and stretched as they are."""
    return -(-7 * scale[1] // 10)


def _spell(values: tuple) -> str:
    return ' '.join(map(str, values))
