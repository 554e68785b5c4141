"""What an axis of a tensor is made of: rows and columns of the image, or not."""

import math
from typing import NamedTuple, Optional

NONE, UNKNOWN, TOKENS, LEVELS = '-', '?', 'L', 'M'


class Atom(NamedTuple):
    """A factor of an axis: its source, size, the finer units below one step of it, and whether it is the coarsest."""

    source: str
    size: int
    inner: int = 1
    top: bool = True
    tokens: tuple = ()  # TOKENS: (tokens in front of the grid, rows, columns); LEVELS: (start, rows, columns) of each


Axes = tuple  # one tuple of atoms per axis


class Reading(NamedTuple):
    """Axes of a map: those of rows and columns (equal for tokens), the grid, and the tokens in front of it."""

    rows: int
    columns: int
    grid: tuple[int, int]
    prefix: int


def read(axes: Axes) -> Optional[Reading]:
    """Return the one way to read axes as a map; None if there is none, or positions stand on other axes, too."""
    rows = columns = tokens = None
    for d, atoms in enumerate(axes):
        atoms = whole(merged(atoms))
        coarse = [a for a in atoms if (a.source in 'HW' and a.top) or a.source == TOKENS]
        if not coarse:
            continue
        names = ''.join(a.source for a in atoms)
        if names == 'H' and rows is None and tokens is None:
            rows = d, atoms[0].size
        elif names == 'W' and columns is None and tokens is None:
            columns = d, atoms[0].size
        elif (names == TOKENS or (names == 'HW' and atoms[1].top)) and rows is columns is tokens is None:
            place = (0, *(a.size for a in atoms)) if names == 'HW' else atoms[0].tokens
            tokens = d, place
        else:
            return None
    if tokens:
        return Reading(tokens[0], tokens[0], tokens[1][1:], tokens[1][0])
    if rows and columns:
        return Reading(rows[0], columns[0], (rows[1], columns[1]), 0)
    return None


def unknown(axes: Axes) -> bool:
    """Tell whether positions may hide behind an op that is not understood, or behind views that mix in channels."""
    seen = set()
    for atoms in map(merged, axes):
        names = ''.join(a.source for a in whole(atoms))
        coarse = {a.source for a in atoms if a.source == TOKENS or (a.source in 'HW' and a.top)}
        if UNKNOWN in names or (coarse and names not in ('H', 'W', 'HW', TOKENS)):
            return True
        seen |= coarse
    return len(seen) == 1 and TOKENS not in seen


def shuffled(axes: Axes) -> bool:
    """Tell whether an axis has all positions, in another order than row by row: column by column, or unit by unit."""
    names = [''.join(a.source for a in whole(merged(atoms))) for atoms in axes]
    return any(set(n) == {'H', 'W'} and n != 'HW' for n in names)


def plain(shape) -> Axes:
    return tuple((Atom(NONE, int(s)),) for s in shape)


def sizes(axes: Axes) -> tuple:
    return tuple(math.prod(a.size for a in atoms) for atoms in axes)


def hidden(shape, parents) -> Axes:
    has = any(a.source != NONE for p in parents if p is not None for atoms in p for a in atoms)
    return tuple((Atom(UNKNOWN if has else NONE, int(s)),) for s in shape)


def merged(atoms) -> list:
    """Put pieces of an axis together again."""
    out: list = []
    for a in atoms:
        last = out[-1] if out else None
        if a.size == 1 and (out or len(atoms) > 1) and not (a.top and a.source in 'HW'):
            continue
        if last and last.source == a.source and a.source in 'HW' and not a.top and last.inner == a.size * a.inner:
            out[-1] = Atom(a.source, last.size * a.size, a.inner, last.top)
        elif last and last.source == a.source == NONE:
            out[-1] = Atom(NONE, last.size * a.size)
        else:
            out.append(a)
    while len(out) > 1 and out[0].source == NONE and out[0].size == 1:
        out.pop(0)
    return out or [Atom(NONE, 1)]


def whole(atoms: list) -> list:
    """Rows (or columns) with finer steps that come from channels, as pixel shuffling makes them, are rows."""
    if len(atoms) == 2 and atoms[0].source in 'HW' and atoms[1].source == NONE:
        return [Atom(atoms[0].source, atoms[0].size * atoms[1].size, 1, atoms[0].top)]
    return atoms


def resized(atoms, size: int) -> tuple:
    """An axis after an op that keeps its order: pooling, strides, padding, rolls."""
    pieces = whole(merged(atoms))
    if math.prod(a.size for a in pieces) == size:
        return tuple(pieces)
    if len(pieces) == 1 and pieces[0].source in (*'HW', NONE):
        return (Atom(pieces[0].source, size, 1, pieces[0].top),)
    return (Atom(NONE if all(a.source == NONE for a in pieces) else UNKNOWN, size),)


def better(a, b) -> bool:
    """Whether an axis tells more than another."""
    rank = {UNKNOWN: 1, NONE: 0}
    return max(rank.get(x.source, 2) for x in a) > max(rank.get(x.source, 2) for x in b)


def dim_of(value, ndim: int) -> int:
    value = int(value)
    value = value - 2**64 if value >= 2**63 else value
    return value % ndim
