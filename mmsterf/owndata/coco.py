"""Detection data: finds the format of a folder, and brings it to COCO files for training and validation."""

import json
import os
from collections import Counter
from pathlib import Path
from typing import Optional

from mmsterf.datasets.check_coco import check_coco
from mmsterf.datasets.findings import listed
from mmsterf.errors import InvalidInput

from .boxes import read_labelme, read_via, read_voc, via_entries
from .files import divide, files_below, is_image, split_of, two_splits
from .found import Found
from .yolo import read_yaml, read_yolo

FORMS = (
    'COCO (a JSON file with images, annotations and categories, or several), YOLO (data.yaml), Pascal VOC (XML), '
    'labelme and VIA (JSON)'
)


def find_detection(data: Path, seed: int) -> Found:
    """What a folder, or a COCO, VIA or data.yaml file, holds for detection.

    Raises:
        InvalidInput: If it is of no known format, or something in it is wrong.
    """
    root = data if data.is_dir() else data.absolute().parent
    files = files_below(root)
    if not data.is_dir() and root.name.lower().startswith(('ann', 'label')) and not any(map(is_image, files)):
        root = root.parent  # annotations/instances.json, whose images are beside annotations/
        files = files_below(root)
    annotations = files if data.is_dir() else [data.absolute()]
    form, parts, notes, originals = _read(root, files, annotations)
    found = Found('det', form, root, notes=notes)
    if not any(part['images'] for part in parts.values()):
        raise InvalidInput(f'{data}: {form} without images')
    prefixes = {name: _prefix(root, part, originals.get(name), files) for name, part in parts.items()}
    if repaired := [_repair(part) for part in parts.values() if form == 'COCO']:
        if lacking := sum(repaired, Counter()):
            filled = listed(f'{key} {count}' for key, count in lacking.items())
            notes.append(f'annotations lack what mmdet needs, filled in in new files: {filled}')
            originals = {}
    else:
        originals = {}
    chosen = two_splits(parts, notes)
    if not chosen:
        chosen, prefixes = _divided(found, parts, prefixes, seed)
        originals = {}
    _classes(found, chosen)
    for name, part in chosen.items():
        prefix = os.path.relpath(prefixes[name], root)
        prefix = '' if prefix == '.' else f'{prefix}/'
        ann_file = os.path.relpath(originals[name], root) if name in originals else None  # None: in the new folder
        if ann_file is None:
            found.files[f'{name}.json'] = json.dumps(part)
        found.splits[name] = {'ann_file': ann_file, 'data_prefix': {'img': prefix}}
        found.counts[name] = len(part['images'])
    _statistics(found, chosen)
    return found


READ_FROM = {
    'YOLO': ('.yaml', '.yml'),
    'COCO': ('.json',),
    'labelme': ('.json',),
    'VIA': ('.json',),
    'Pascal VOC': ('.xml',),
}
"""Endings of the files of annotations, but .txt, which may be anything."""


def _read(root: Path, files: list, annotations: list) -> tuple:
    """Format, {split: COCO annotations}, notes, {split: file they come from}."""
    form, parts, notes, originals = _read_one(root, files, annotations)
    endings = Counter(path.suffix.lower() for path in annotations)
    others = {ending for endings_of in READ_FROM.values() for ending in endings_of} - set(READ_FROM[form])
    if unread := listed(f'{endings[ending]} {ending}' for ending in sorted(others) if endings[ending]):
        notes.append(f'the annotations are taken from {form}; not read are {unread}')
    return form, parts, notes, originals


def _read_one(root: Path, files: list, annotations: list) -> tuple:
    for path in annotations:
        if path.suffix.lower() in READ_FROM['YOLO'] and (data := read_yaml(path)):
            return 'YOLO', (w := read_yolo(root, files, path, data)).coco(), w.notes, {}
    below = files if annotations is files else [*filter(is_image, files), *annotations]
    coco: dict = {}
    broken: list = []
    for path in (p for p in annotations if p.suffix.lower() == '.json'):
        try:
            data = json.loads(path.read_text(encoding='utf-8-sig'))
        except (ValueError, RecursionError, OSError):
            broken.append(path)
            continue
        if isinstance(data, dict) and isinstance(data.get('shapes'), list):
            return 'labelme', (w := read_labelme(root, below)).coco(), w.notes, {}
        if via_entries(data):
            return 'VIA', (w := read_via(root, below)).coco(), w.notes, {}
        if isinstance(data, dict) and {'images', 'annotations', 'categories'} <= set(data):
            coco[path] = data
    kinds = Counter(path.suffix.lower() for path in annotations)
    if broken and (coco or not kinds['.xml']):
        raise InvalidInput(str(check_coco(str(broken[0])).errors[0]))
    if coco:
        return _read_coco(root, coco)
    if kinds['.xml']:
        writer = read_voc(root, files)
        if writer.parts:
            return 'Pascal VOC', writer.coco(), writer.notes, {}
    names = next((p for p in files if p.name in ('classes.txt', 'obj.names', '_darknet.labels')), None)
    if names:
        return 'YOLO', (w := read_yolo(root, files, names, None)).coco(), w.notes, {}
    there = listed(f'{count} {suffix or "without suffix"}' for suffix, count in kinds.most_common())
    raise InvalidInput(f'{root} has no annotations for detection that are known here: {FORMS}; its files are {there}')


def _read_coco(root: Path, loaded: dict) -> tuple:
    by_split: dict = {}
    for path in loaded:
        by_split.setdefault(split_of(path.relative_to(root)), []).append(path)
    notes, originals = [], {}
    if len(by_split) > 1 and None in by_split:
        notes.append(f'{by_split.pop(None)[0]} is of no split by its name, and left out')
    for split, paths in by_split.items():
        # COCO itself has captions and keypoints beside its instances.
        named = [path for path in paths if path.name.startswith('instances')] or paths
        if len(named) > 1:
            what = f'for {split}' if split else 'whose names are of no split (train, val)'
            raise InvalidInput(
                f'{named[0]} and {named[1]} are both COCO annotations {what}; give one of the files as DATA'
            )
        originals[split or 'all'] = named[0]
    for path in originals.values():
        report = check_coco(str(path), masks=True)
        hard = [f for (severity, kind), f in report._found.items() if severity == 'error' and not _mends(f.text)]
        if hard:
            raise InvalidInput(str(hard[0]))
    return 'COCO', {name: loaded[path] for name, path in originals.items()}, notes, originals


def _mends(text: str) -> bool:
    """Whether an error is one that `_repair` and leaving masks away mend."""
    return 'has no area' in text or 'has no segmentation' in text


def _repair(part: dict) -> Counter:
    """Fill in what mmdet and pycocotools need and tools often leave out."""
    lacking: Counter = Counter()
    for entry in part['annotations']:
        if 'area' not in entry:
            entry['area'] = entry['bbox'][2] * entry['bbox'][3]
            lacking['area'] += 1
        if entry.get('iscrowd') not in (0, 1):
            entry['iscrowd'] = 0
            lacking['iscrowd'] += 1
    return lacking


def _prefix(root: Path, part: dict, original: Optional[Path], files: list) -> Path:
    """Folder that the file names of a COCO file are relative to."""
    if original is None:
        return root
    names = [image['file_name'] for image in part['images'][:50]]
    inner = dict.fromkeys(path.parent for path in files if is_image(path))
    # Names may have folders in them, so what is above images counts too.
    above = [folder for path in inner for folder in path.parents if folder.is_relative_to(root)]
    folders = dict.fromkeys([original.parent, root, *inner, *above])
    hits = {folder: sum((folder / name).is_file() for name in names) for folder in folders}
    split = split_of(original.relative_to(root))
    best = max(hits, key=lambda folder: (hits[folder], split_of(folder.relative_to(root)) == split))
    if not hits[best]:
        raise InvalidInput(f'{original} is of the image {names[0]}, which is in no folder below {root}')
    return best


def _divided(found: Found, parts: dict, prefixes: dict, seed: int) -> tuple:
    """Training and validation parts of data that has no such split."""
    if len(parts) > 1:
        found.notes.append(f'of the splits {listed(parts)} only train is used, and divided')
    name = 'train' if 'train' in parts else next(iter(parts))
    whole = parts[name]
    split = divide([image['file_name'] for image in whole['images']], seed)
    chosen = {}
    for key, names in split.items():
        images = [image for image in whole['images'] if image['file_name'] in set(names)]
        ids = {image['id'] for image in images}
        entries = [entry for entry in whole['annotations'] if entry['image_id'] in ids]
        chosen[key] = {'images': images, 'annotations': entries, 'categories': whole['categories']}
    found.files['split.json'] = json.dumps({'seed': seed, **split}, indent=1)
    found.notes.append(f'there is no split train and val: made one by the seed {seed}')
    return chosen, dict.fromkeys(chosen, prefixes[name])


def _classes(found: Found, parts: dict) -> None:
    """Classes with objects, in the order of the training file; the same in both."""
    names = {split: [entry['name'] for entry in part['categories']] for split, part in parts.items()}
    used: Counter = Counter()
    for split, part in parts.items():
        by_id = {entry['id']: entry['name'] for entry in part['categories']}
        counts = Counter(by_id[e['category_id']] for e in part['annotations'] if e.get('category_id') in by_id)
        found.objects[split] = {name: counts[name] for name in names[split]}
        used += counts
    if different := sorted(set(names['val']) ^ set(names['train'])):
        where = 'val' if different[0] in names['val'] else 'train'
        raise InvalidInput(f'the categories of train and val differ: only {where} has {different[0]!r}')
    found.classes = [name for name in names['train'] if used[name]]
    if without := [name for name in names['train'] if not used[name]]:
        found.notes.append(f'left out are {len(without)} categories without any object: {listed(without)}')
    if not found.classes:
        raise InvalidInput(f'{found.root}: there are no objects')
    for split, counts in found.objects.items():
        found.objects[split] = {name: counts.get(name, 0) for name in found.classes}


def _statistics(found: Found, parts: dict) -> None:
    sizes = {image['id']: (image['width'], image['height']) for image in parts['train']['images']}
    found.sizes = list(sizes.values())
    entries = [e for part in parts.values() for e in part['annotations'] if not e.get('iscrowd')]
    with_mask = sum(bool(entry.get('segmentation')) for entry in entries)
    found.masks = with_mask == len(entries)
    if 0 < with_mask < len(entries):
        found.notes.append(f'{with_mask} of {len(entries)} objects have a mask: only boxes are learned')
    found.boxes = [
        (*entry['bbox'][2:], max(sizes[entry['image_id']]))
        for entry in parts['train']['annotations']
        if not entry.get('iscrowd') and entry['image_id'] in sizes and min(entry['bbox'][2:]) >= 1
    ]
