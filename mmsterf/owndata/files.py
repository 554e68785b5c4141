"""Files of a data folder: images and their sizes, and the split that a name speaks of."""

import os
import random
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Optional

from PIL import Image

from mmsterf.errors import InvalidInput

IMAGES = ('.jpg', '.jpeg', '.png', '.bmp', '.tif', '.tiff', '.webp', '.ppm', '.pgm')
SPLITS = ('train', 'val', 'test')
_SPLIT = re.compile(
    r'(?<![a-z])(train|training|val|valid|validation|test|testing)(?=[^a-z]|$|annot|label|mask|seg|image|img)'
)


def files_below(root: Path) -> list:
    """All files below a folder, sorted, without hidden ones.

    Raises:
        InvalidInput: If there are none.
    """
    found = []
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith(('.', '__MACOSX')))
        found += [Path(folder, name) for name in sorted(names) if not name.startswith('.')]
    if not found:
        raise InvalidInput(f'{root} has no files')
    return found


def read_text(path: Path) -> str:
    """The text of a file.

    Raises:
        InvalidInput: If it is none in UTF-8.
    """
    try:
        return path.read_text(encoding='utf-8-sig')
    except UnicodeDecodeError:
        raise InvalidInput(f'{path} is no text in UTF-8') from None


def is_image(path: Path) -> bool:
    """Whether a file is an image by its name."""
    return path.suffix.lower() in IMAGES


def split_of(path: Path) -> Optional[str]:
    """'train', 'val' or 'test' if a part of a relative path says so, the last such part; else None."""
    for part in reversed([*path.parts[:-1], path.stem]):
        if match := _SPLIT.search(part.lower()):
            return next(name for name in SPLITS if match[1].startswith(name[:2]))
    return None


def upright_size(path: Path) -> tuple:
    """(width, height) of an image as it is read, which is upright; only its head is looked at.

    Raises:
        InvalidInput: If it is no image.
    """
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            return image.size[::-1] if turned else image.size
    except FileNotFoundError:
        raise InvalidInput(f'image {path} is not there') from None
    except Exception:
        raise InvalidInput(f'image {path} is no image: it is of no known format, or broken at its beginning') from None


def divide(names: Iterable, seed: int, groups: Optional[Sequence] = None, share: float = 0.2) -> dict:
    """Divide names into 'train' and 'val' by a seed, whatever their order.

    Args:
        names (iterable[str]): Names of images.
        seed (int): Of the shuffle.
        groups (sequence, optional): What each name belongs to; each group with two names or more is divided by itself.
        share (float): Of 'val', which gets one name at least.

    Raises:
        InvalidInput: If there are fewer than two.
    """
    names = list(names)
    if len(names) < 2:
        raise InvalidInput(f'there is {len(names)} image; training and validation need two at least')
    members: dict = {}
    for name, group in zip(names, groups or [None] * len(names)):
        members.setdefault(group, []).append(name)
    chosen: set = set()
    for group in sorted(members, key=str):
        inside = sorted(members[group])
        random.Random(f'{seed}').shuffle(inside)
        chosen |= set(inside[: max(round(share * len(inside)), int(len(inside) > 1))])
    chosen = chosen or {sorted(names)[0]}
    return {'train': [n for n in names if n not in chosen], 'val': [n for n in names if n in chosen]}


def two_splits(parts: dict, notes: list) -> dict:
    """'train' and 'val' of splits by name, with 'test' for 'val' where there is none; others are noted.

    Returns:
        dict: With both, or empty if a division has to be made.
    """
    if 'train' not in parts:
        return {}
    if 'val' in parts:
        if 'test' in parts:
            notes.append('the split test is left out; val is what is tested on')
        return {name: parts[name] for name in ('train', 'val')}
    if 'test' in parts:
        notes.append('there is no split val: test is taken for it')
        return {'train': parts['train'], 'val': parts['test']}
    return {}
