"""What a check of a data set found: errors, which stop the work, and warnings, each kind with its first case."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Optional

ERROR, WARNING = 'error', 'warning'


@dataclass
class Finding:
    """One kind of thing that is wrong: the first case as a sentence, and how many cases there are."""

    severity: str
    text: str
    count: int = 1

    def __str__(self) -> str:
        return self.text + (f' (and {self.count - 1} more like it)' if self.count > 1 else '')


@dataclass
class Report:
    """What a data set holds, and what is wrong with it.

    Attributes:
        name (str): Of the data set, as the config has it.
        images (int): Images that are used, of `total`.
        objects (int): Objects, or label maps that were read.
        classes (dict): Names to numbers of objects (boxes), or of pixels (label maps).
        sizes (dict): (width, height) to numbers of images.
        files (list): `(path, width, height)` of the images; width and height may be None.
        ids (list): Ids of the images of a COCO file.
        event_ends (dict): Ids to the ends of windows of recordings, of those that are such.
        with_objects (set): Those with an annotation of a class of the data set.
    """

    name: str = ''
    images: int = 0
    total: int = 0
    objects: int = 0
    classes: dict = field(default_factory=dict)
    sizes: dict = field(default_factory=dict)
    files: list = field(default_factory=list)
    ids: list = field(default_factory=list)
    event_ends: dict = field(default_factory=dict)
    with_objects: set = field(default_factory=set)
    _found: dict = field(default_factory=dict)

    def add(self, severity: str, kind: str, text: str, count: int = 1) -> None:
        """Note a case; only the first of a kind keeps its sentence."""
        known = self._found.get((severity, kind))
        if known is None:
            self._found[severity, kind] = Finding(severity, text, count)
        else:
            known.count += count

    def error(self, kind: str, text: str) -> None:
        """Note what work cannot go on with."""
        self.add(ERROR, kind, text)

    def warning(self, kind: str, text: str, count: int = 1) -> None:
        """Note what work goes on with."""
        self.add(WARNING, kind, text, count)

    @property
    def errors(self) -> list:
        """Kinds of errors, in the order they were met."""
        return [finding for finding in self._found.values() if finding.severity == ERROR]

    @property
    def warnings(self) -> list:
        """Kinds of warnings, in the order they were met."""
        return [finding for finding in self._found.values() if finding.severity == WARNING]

    def take(self, other: 'Report') -> None:
        """Take over what another report found."""
        for (severity, kind), finding in other._found.items():
            self.add(severity, f'{other.name} {kind}', finding.text, finding.count)


def short(value, length: int = 60) -> str:
    """`value` as Python writes it, cut to `length` characters."""
    try:
        text = repr(value)
    except ValueError:  # integers of thousands of digits
        text = f'a {type(value).__name__}'
    return text if len(text) <= length else f'{text[: length - 3]}...'


def listed(names: Iterable, most: int = 12) -> str:
    """Names with commas between them, `most` of them."""
    names = [str(name) for name in names]
    return ', '.join(names[:most]) + (f', ... ({len(names)} in all)' if len(names) > most else '')


def nearest(name: str, names: Iterable) -> Optional[str]:
    """The name most like `name`, or None."""
    lower = {str(other).lower(): other for other in names}
    found = difflib.get_close_matches(str(name).lower(), lower, 1, 0.6)
    return lower[found[0]] if found else None
