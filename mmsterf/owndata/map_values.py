"""Values of label maps: grey, palette or colours, to the indices of classes."""

import csv
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Optional

import numpy as np
from PIL import Image

from mmsterf.datasets.findings import listed
from mmsterf.errors import InvalidInput

from .files import read_text

IGNORE = 255
_NAME_FILES = ('class_dict.csv', 'label_colors.txt', 'classes.txt', 'labels.txt', 'label_names.txt', 'codes.txt')
_NO_CLASS = ('void', 'unlabelled', 'unlabeled', 'ignore', 'ignored', '_background_ignored', 'dontcare')
_MOST = 256


class Values:
    """Counts the values of label maps, and turns them into indices.

    Attributes:
        colours (bool): Whether values are colours (red, green, blue) instead of numbers.
        counts (Counter): Values to numbers of pixels.
        table (dict): Values to indices of classes, 255 for none; set by `choose`.
        classes (list[str]): Names, set by `choose`.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.colours, self.counts = root, None, Counter()
        self.binary = self.deep = False
        self.table, self.classes, self.palette = {}, [], None

    def read(self, path: Path) -> np.ndarray:
        """Values of a file: (H, W), uint8 or colours packed into int32.

        Raises:
            InvalidInput: If it is no label map.
        """
        try:
            with Image.open(self.root / path) as image:
                mode = image.mode
                if mode in ('RGBA', 'CMYK', 'LA', 'PA'):
                    image = image.convert('RGB')
                pixels = np.asarray(image)
        except Exception:
            raise InvalidInput(f'label map {self.root / path} is no image, or damaged') from None
        if mode.startswith(('I', 'F')):
            if pixels.min() < 0 or pixels.max() > 255:
                raise InvalidInput(
                    f'label map {self.root / path} has values from {pixels.min()} to {pixels.max()} (mode {mode}): '
                    'numbers of classes are 0 to 255'
                )
            pixels, self.deep = pixels.astype(np.uint8), True
        self.binary |= mode == '1'
        colours = pixels.ndim == 3
        if self.colours is None:
            self.colours = colours
        elif self.colours != colours:
            raise InvalidInput(
                f'label map {self.root / path} has {"colours" if colours else "numbers"}, others have '
                f'{"numbers" if colours else "colours"}: they must be of one kind'
            )
        if not colours:
            return pixels.astype(np.uint8)
        return (pixels[..., :3].astype(np.int32) << (16, 8, 0)).sum(-1).astype(np.int32)

    def count(self, paths: Iterable) -> None:
        """Count the values of files.

        Raises:
            InvalidInput: If there are more colours than classes can be, as JPEG makes them.
        """
        for path in paths:
            for value, number in zip(*np.unique(self.read(path), return_counts=True)):
                self.counts[int(value)] += int(number)
            if len(self.counts) > _MOST:
                raise InvalidInput(
                    f'label maps have more than {_MOST} values, up to {self.root / path}: they are photographs, or '
                    'were stored with losses (JPEG); label maps are PNG'
                )

    def choose(self, names: Optional[Sequence], ignore: Sequence, notes: list) -> None:
        """Decide which value is which class.

        Args:
            names (sequence[str], optional): As the user gave them, in the order of the values.
            ignore (sequence[str]): Values, colours as '#rrggbb', or names that are no class.
            notes (list[str]): Gets what was decided.

        Raises:
            InvalidInput: If names and values do not go together.
        """
        known = _named(self.root, self.colours, notes)
        values = sorted(self.counts)
        ignored = {v for v in values if self._written(v) in ignore or str(v) in ignore}
        valid = {*map(self._written, values), *map(str, values), *(name for name, _ in known)}
        if unknown := [text for text in ignore if text not in valid]:
            raise InvalidInput(
                f'--ignore {unknown[0]}: no label map has it; they have {listed(map(self._written, values), 30)}'
            )
        if known and known[0][1] is not None:  # names with values
            by_value = {value: name for name, value in known}
            ignored |= {v for v in values if by_value.get(v, '') in ignore or by_value.get(v, '').lower() in _NO_CLASS}
            if strange := [v for v in values if v not in by_value and v not in ignored and v != IGNORE]:
                notes.append(
                    f'values that the list of classes lacks are ignored: {listed(map(self._written, strange))}'
                )
            no_class = {*_NO_CLASS, *(text.lower() for text in ignore)}
            kept = [(name, value) for name, value in known if value not in ignored and name.lower() not in no_class]
            self.classes = list(names or [name for name, _ in kept])
            used = [value for _, value in kept]
        else:
            used = [v for v in values if v not in ignored]
            dense = not self.colours and not self.binary
            if dense and IGNORE in used and len(used) > 2:
                used.remove(IGNORE)
                notes.append('the value 255 is no class: pixels that are ignored')
            given = [name for name, _ in known] if not names else list(names)
            # 0 to K - 1, of which some may not occur; others (0 and 255, 0, 50, 100) are numbered in their order.
            most = len(given) + len(ignored) if given else 2 * len(used) + 1
            if dense and used and used[-1] < most and not (len(used) == 2 and used[-1] > 1):
                used = [v for v in range(max(used[-1] + 1, len(given))) if v not in ignored]
            elif dense:
                notes.append(f'values {listed(used)} are numbered 0 to {len(used) - 1}')
            self.classes = given or [f'class_{self._written(v)}' for v in used]
            if not given:
                notes.append('names of classes are not in the data: --classes NAME,NAME,... gives them')
        if len(self.classes) != len(used):
            raise InvalidInput(
                f'{"--classes has" if names else "there are"} {len(self.classes)} names of classes '
                f'({listed(self.classes)}), but the label maps have {len(used)} values: '
                f'{listed(map(self._written, used), 30)}; --ignore VALUE takes one out'
            )
        if len(used) < 2:
            raise InvalidInput(
                f'label maps have {len(used)} class ({listed(self.classes) or "none"}), two at least are needed; their '
                f'values are {listed(map(self._written, values), 30)}'
            )
        self.table = {**dict.fromkeys(values, IGNORE), **{value: index for index, value in enumerate(used)}}
        if self.colours:
            self.palette = [[v >> 16, v >> 8 & 255, v & 255] for v in used]

    @property
    def native(self) -> bool:
        """Whether mmseg reads the files as they are."""
        return not (self.colours or self.binary or self.deep) and all(v == index for v, index in self.table.items())

    def convert(self, path: Path, out: Path) -> None:
        """Write the label map of indices of a file."""
        pixels = self.read(path)
        values = np.array(sorted(self.table))
        places = np.searchsorted(values, pixels)
        indices = np.array([self.table[v] for v in values], np.uint8)[places]
        out.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(indices).save(out)

    def pixels(self) -> dict:
        """Names of classes to numbers of pixels."""
        found = dict.fromkeys(self.classes, 0)
        for value, number in self.counts.items():
            if self.table[value] != IGNORE:
                found[self.classes[self.table[value]]] += number
        return found

    def _written(self, value: int) -> str:
        return f'#{value:06x}' if self.colours else str(value)


def _named(root: Path, colours: bool, notes: list) -> list:
    """(name, value or None) of a file with the names of classes, or an empty list."""
    file = next((path for name in _NAME_FILES if (path := root / name).is_file()), None)
    if file is None:
        return []
    lines = [line.strip() for line in read_text(file).splitlines() if line.strip()]
    rows = list(csv.reader(lines)) if file.suffix == '.csv' else [re.split(r'[\s,]+', line) for line in lines]
    found = []
    for row, line in zip(rows, lines):
        numbers = [int(cell) for cell in row if cell.strip().isdigit()]
        name = ' '.join(cell.strip() for cell in row if not cell.strip().isdigit())
        if len(numbers) == 3 and name:
            found.append((name, numbers[0] << 16 | numbers[1] << 8 | numbers[2]))
        elif file.suffix != '.csv':
            found.append((line, None))
    if found and all(value is not None for _, value in found) and not colours:
        found = [(name, None) for name, _ in found]  # of maps that are numbered in this order
    if found and any(value is None for _, value in found):
        if colours:
            return []
        found = [(name, None) for name, _ in found]
    notes.append(f'names of classes are those of {file.name}')
    return found
