"""Segmentation data: pairs of images and label maps, whatever their folders are called."""

import re
from collections.abc import Iterable
from pathlib import Path

from mmsterf.errors import InvalidInput

from .files import is_image, read_text, split_of

_LABELS = re.compile(r'annot|label|mask|gt(?![a-z])|gtfine|ground_?truth|segmentationclass|colou?r|palette|^seg', re.I)
_SUFFIX = re.compile(
    r'(_leftImg8bit|_gtFine_labelTrainIds|_gtFine_labelIds|_gtFine_color|_gtCoarse_\w+|_labelTrainIds|_labelIds|'
    r'_labels?|_masks?|_annotations?|_annot|_gt|_seg|_colou?r|_L|_P)$'
)
_NOT = re.compile(r'instance_?Ids|polygons|SegmentationObject', re.I)


def pairs(root: Path, files: list) -> dict:
    """Names of splits ('all' where none is named) to lists of (image, label map), relative to `root`.

    Raises:
        InvalidInput: If there are no pairs.
    """
    files = [path.relative_to(root) for path in files if is_image(path)]
    maps, images = {}, []
    stems = {(path.parent, path.stem) for path in files}
    for path in files:
        if _NOT.search(str(path)):
            continue
        if _is_map(path, stems):
            key = (split_of(path), _stem(path))
            # Of several label maps of an image, train ids are meant for training, and colours for looking at.
            if key not in maps or _rank(path) < _rank(maps[key]):
                maps[key] = path
        else:
            images.append(path)
    lists = _lists(root)
    found: dict = {}
    without = []
    for path in images:
        label = maps.get((split_of(path), _stem(path))) or maps.get((None, _stem(path)))
        if label is None:
            without.append(path)
            continue
        split = next((name for name, names in lists.items() if path.stem in names), None) or split_of(path)
        if not lists or split is not None:
            found.setdefault(split or 'all', []).append((path, label))
    if not found:
        what = f'{len(images)} images and {len(maps)} label maps, none of the same name' if files else 'no images'
        raise InvalidInput(
            f'{root} has {what}; segmentation takes images and label maps of the same names in folders such as '
            'images and labels, or train and trainannot'
        )
    for names in found.values():
        names.sort()
    return found, [str(path) for path in without]


def _is_map(path: Path, stems: set) -> bool:
    if path.suffix.lower() in ('.jpg', '.jpeg'):
        return False
    shorter = _SUFFIX.sub('', path.stem)
    if shorter != path.stem and (path.parent, shorter) in stems:  # a_mask.png beside a.jpg
        return True
    if path.stem.endswith('_leftImg8bit'):
        return False
    return any(_LABELS.search(part) for part in path.parts[:-1])


def _stem(path: Path) -> str:
    return _SUFFIX.sub('', path.stem)


def _rank(path: Path) -> int:
    name = path.stem.lower()
    return next((i for i, word in enumerate(('trainids', 'labelids', 'color', 'colour')) if name.endswith(word)), 1)


def _lists(root: Path) -> dict:
    """Splits of Pascal VOC: ImageSets/Segmentation/train.txt and val.txt."""
    folder = root / 'ImageSets' / 'Segmentation'
    lists = {name: folder / f'{name}.txt' for name in ('train', 'val')}
    return {name: set(read_text(file).split()) for name, file in lists.items() if file.is_file()}


def layout(items: Iterable) -> dict:
    """Folders and suffixes by which mmseg lists pairs, or an empty dict if none fit all.

    Returns:
        dict: img_path, seg_map_path, img_suffix, seg_map_suffix, names.
    """
    items = list(items)
    image, label = items[0]
    for depth in range(len(image.parts) - 1, -1, -1):
        below = Path(*image.parts[depth:])
        stem = _SUFFIX.sub('', below.as_posix()[: -len(below.suffix)])
        place = label.as_posix().rfind(stem)
        if place < 0 or (place and label.as_posix()[place - 1] != '/'):
            continue
        img_path, seg_path = '/'.join(image.parts[:depth]), label.as_posix()[:place].rstrip('/')
        img_suffix, seg_suffix = below.as_posix()[len(stem) :], label.as_posix()[place + len(stem) :]
        names = [i.as_posix()[len(img_path) + bool(img_path) : -len(img_suffix)] for i, _ in items]
        pairs_of = [(Path(img_path, f'{name}{img_suffix}'), Path(seg_path, f'{name}{seg_suffix}')) for name in names]
        if pairs_of == items:
            return {
                'img_path': img_path,
                'seg_map_path': seg_path,
                'img_suffix': img_suffix,
                'seg_map_suffix': seg_suffix,
                'names': names,
            }
    return {}
