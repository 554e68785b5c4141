"""COCO annotation files, checked entry by entry before mmdet and pycocotools read them.

What those crash on, or would train on wrongly, is an error; what mmdet 3.3 leaves out without a word is a warning with
a count.
"""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Optional

from .check_classes import chosen_classes
from .check_masks import broken_polygons, mask_error
from .findings import Report, listed, short

_PARTS = ('images', 'annotations', 'categories')
_MOST_PIXELS = 2**30  # what OpenCV reads


def check_coco(
    file: str,
    classes: Optional[Sequence] = None,
    *,
    own_classes: bool = True,
    masks: bool = False,
    scored: bool = False,
    without_annotations: bool = False,
) -> Report:
    """Check a COCO annotation file.

    Args:
        file (str): The file.
        classes (sequence, optional): Names that the data set has (`metainfo.classes`), in order.
        own_classes (bool): Whether the user set them; else they are the data set class's.
        masks (bool): Whether masks are read.
        scored (bool): Whether pycocotools evaluates against the file, which needs more of it.
        without_annotations (bool): Whether a file without annotations will do (`format_only`).

    Returns:
        Report: What it holds; it has no files if it cannot be used at all.
    """
    report = Report(name=str(file))
    data = _read(report, str(file), without_annotations)
    if data is None:
        return report
    names = _categories(report, file, data['categories'])
    images = _images(report, file, data['images'])
    chosen = chosen_classes(report, file, data['categories'], classes, own_classes) if not report.errors else None
    if not report.errors:
        _annotations(report, file, data.get('annotations', []), images, names, chosen, masks, scored)
        if scored:
            _scored(report, file, data.get('annotations', []))
    return report


def _read(report: Report, file: str, without_annotations: bool) -> Optional[dict]:
    try:
        with open(file, encoding='utf-8') as stream:
            data = json.load(stream)
    except json.JSONDecodeError as error:
        with open(file, 'rb') as stream:
            empty = not stream.read(64).strip()
        why = 'it is empty' if empty else f'{error.msg} at line {error.lineno}, column {error.colno}'
        report.error('json', f'{file} is no JSON, which COCO annotations are: {why}; was it written to its end?')
        return None
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        report.error('json', f'{file} is no JSON, which COCO annotations are: {short(str(error))}')
        return None
    except OSError as error:
        report.error('json', f'{file} cannot be read: {error.strerror}')
        return None
    if not isinstance(data, dict):
        report.error(
            'form', f'{file} holds a {type(data).__name__}; COCO annotations are an object with {listed(_PARTS)}'
        )
        return None
    needed = [part for part in _PARTS if part != 'annotations' or not without_annotations]
    if lacking := [part for part in needed if part not in data]:
        report.error('form', f'{file} has no {" and no ".join(lacking)}; its keys are {listed(data) or "none"}')
        return None
    for part in _PARTS:
        entries = data.get(part, [])
        if not isinstance(entries, list):
            report.error('form', f'{file}: {part} is a {type(entries).__name__}; it must be a list')
        elif not entries and part in needed:
            report.error('form', f'{file}: {part} is an empty list, so there is nothing to learn from or to test on')
        else:
            for index, entry in enumerate(entries):
                if not isinstance(entry, dict):
                    report.error('entry', f'{file}: {part}[{index}] is {short(entry)}; it must be an object')
    return None if report.errors else data


def _is_number(value) -> bool:
    # Comparisons with NaN are false.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -1e9 < value < 1e9


def _is_id(value) -> bool:
    return isinstance(value, str) or (_is_integer(value))


def _is_integer(value) -> bool:
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**63 and value == int(value)
    )


def _ids(report: Report, file: str, part: str, entries: list) -> dict:
    """Ids to indices, with errors for those that are missing, none, or there twice."""
    known = {}
    for index, entry in enumerate(entries):
        key = entry.get('id')
        if 'id' not in entry or not _is_id(key):
            what = f'id is {short(key)}; valid are integers and strings' if 'id' in entry else 'has no id'
            report.error(f'{part} id', f'{file}: {part}[{index}] {what}')
        elif key in known:
            report.error(
                f'{part} twice', f'{file}: {part}[{index}] has the id {short(key)} of {part}[{known[key]}]; ids differ'
            )
        else:
            known[key] = index
    return known


def _categories(report: Report, file: str, entries: list) -> dict:
    known = _ids(report, file, 'categories', entries)
    for index, entry in enumerate(entries):
        if not isinstance(entry.get('name'), str):
            report.error('category name', f'{file}: categories[{index}] has the name {short(entry.get("name"))}')
    return {key: entries[index].get('name') for key, index in known.items()}


def _images(report: Report, file: str, entries: list) -> dict:
    """Ids to (width, height)."""
    known = _ids(report, file, 'images', entries)
    names = {}
    for index, entry in enumerate(entries):
        where = f'{file}: images[{index}] (id {short(entry.get("id"))})'
        name = entry.get('file_name')
        if not isinstance(name, str) or not name:
            report.error('file_name', f'{where} has the file_name {short(name)}; it must be that of an image')
        elif names.setdefault(part := (name, str(entry.get('event_end', entry.get('frame')))), index) != index:
            before = names[part]
            report.warning('file twice', f'{where} is the file {short(name)} of images[{before}] once more')
        if 'event_end' in entry and not _is_integer(entry['event_end']):
            report.error(
                'event_end', f'{where} has the event_end {short(entry["event_end"])}; it must be whole microseconds'
            )
        for key in ('width', 'height'):
            side = entry.get(key)
            if not _is_number(side) or side < 1:
                what = (
                    f'has the {key} {short(side)}; it must be a number of pixels' if key in entry else f'has no {key}'
                )
                report.error(f'image {key}', f'{where} {what}')
        if not report.errors and entry['width'] * entry['height'] > _MOST_PIXELS:
            report.error(
                'image size', f'{where} is of {entry["width"]} x {entry["height"]}; OpenCV reads up to 2^30 pixels'
            )
    if report.errors:
        return {}
    report.files = [(entry['file_name'], entry['width'], entry['height']) for entry in entries]
    report.event_ends = {entry['id']: entry['event_end'] for entry in entries if 'event_end' in entry}
    report.images = report.total = len(entries)
    report.sizes = dict(Counter((entry['width'], entry['height']) for entry in entries))
    return {key: (entries[index]['width'], entries[index]['height']) for key, index in known.items()}


def _annotations(report, file, entries, images, names, chosen, masks, scored) -> None:
    _ids(report, file, 'annotations', entries)
    counts, elsewhere, with_objects, corners = Counter(), Counter(), set(), 0
    for index, entry in enumerate(entries):
        where = f'{file}: annotations[{index}] (id {short(entry.get("id"))})'
        image, category = entry.get('image_id'), entry.get('category_id')
        for key, value in (('image_id', image), ('category_id', category)):
            if not _is_id(value):
                report.error(key, f'{where} has {"no " + key if key not in entry else f"the {key} {short(value)}"}')
        if not _is_id(image) or not _is_id(category):
            continue
        if category not in names:
            report.error(
                'category',
                f'{where} has the category_id {short(category)}; the categories of the file are {listed(names)}',
            )
            continue
        if image not in images:
            report.warning('image', f'{where} has the image_id {short(image)}, which no image has: it is left out')
            continue
        if category in chosen:
            with_objects.add(image)
        if entry.get('ignore'):
            continue
        width, height = images[image]
        problem = _box_error(entry)
        if problem:
            report.error('box', f'{where} {problem}')
            continue
        x, y, w, h = entry['bbox']
        if entry.get('segmentation') and masks and (error := mask_error(entry['segmentation'], width, height)):
            report.error('mask', f'{where}: {error}')
            continue
        if category not in chosen:
            elsewhere[names[category]] += 1
            continue
        if w < 1 or h < 1 or entry['area'] <= 0:
            report.warning(
                'size',
                f'{where} has the bbox {short(entry["bbox"])} and area {short(entry["area"])}: objects of less than '
                'one pixel are left out in training',
            )
            continue
        if min(x + w, width) <= max(x, 0) or min(y + h, height) <= max(y, 0):
            report.warning(
                'outside',
                f'{where} has the bbox {short(entry["bbox"])} outside its image of {width} x {height}: left out',
            )
            continue
        if x < -1 or y < -1 or x + w > width + 1 or y + h > height + 1:
            corners += x + w > width + 1 or y + h > height + 1
            report.warning(
                'border',
                f'{where} has the bbox {short(entry["bbox"])} across the border of its image of {width} x {height}',
            )
        if masks:
            _mask(report, where, entry, scored)
        counts[names[category]] += 1
    report.classes = {name: counts[name] for name in chosen.values()}
    report.objects = sum(counts.values())
    report.with_objects = with_objects
    report.ids = list(images)
    if entries and not report.objects and not report.errors:
        report.error('no objects', f'{file}: none of the {len(entries)} annotations can be used{_first_reason(report)}')
    elif report.objects:
        absent = [name for name, count in report.classes.items() if not count]
        if absent and not scored:
            report.warning(
                'class without objects',
                f'{file} has no object of {len(absent)} of {len(chosen)} classes: {listed(absent)}',
            )
        if corners > 0.5 * report.objects and corners > 2:
            report.warning(
                'corners',
                f'{file}: most boxes end outside their images; bbox is [x, y, width, height], not [x1, y1, x2, y2]',
            )


def _first_reason(report: Report) -> str:
    return f': {report.warnings[0]}' if report.warnings else ''


def _box_error(entry: dict) -> Optional[str]:
    box, area = entry.get('bbox'), entry.get('area')
    if not isinstance(box, list) or len(box) != 4 or not all(_is_number(value) for value in box):
        what = f'has the bbox {short(box)}' if 'bbox' in entry else 'has no bbox'
        return f'{what}; valid is [x, y, width, height], four finite numbers in pixels'
    if not _is_number(area):
        what = f'has the area {short(area)}' if 'area' in entry else 'has no area'
        return f'{what}; mmdet needs a finite number of pixels (width x height of the bbox will do)'
    return None


def _mask(report: Report, where: str, entry: dict, scored: bool) -> None:
    mask = entry.get('segmentation')
    if not mask:
        report.error('no mask', f'{where} has no segmentation, but the config reads masks (with_mask=True)')
    elif broken := broken_polygons(mask):
        report.warning(
            'polygon',
            f'{where} has {broken} of {len(mask)} polygons with fewer than three points or half a point: left out in '
            'training',
        )
        if scored and len(mask[0]) <= 4:
            report.error(
                'polygon',
                f'{where} has the polygon {short(mask[0])}, of which pycocotools makes no mask; it takes three points',
            )


def _scored(report: Report, file: str, entries: list) -> None:
    """What pycocotools needs for evaluating, and training does not."""
    for index, entry in enumerate(entries):
        where = f'{file}: annotations[{index}] (id {short(entry.get("id"))})'
        crowd = entry.get('iscrowd')
        if crowd not in (0, 1):
            what = f'has the iscrowd {short(crowd)}' if 'iscrowd' in entry else 'has no iscrowd'
            report.error('iscrowd', f'{where} {what}; the evaluation needs 0 or 1')
        if not _is_integer(entry.get('id')):
            report.error('number', f'{where}: the evaluation needs an integer as id')
        elif entry['id'] == 0:
            report.warning(
                'zero', f'{where}: pycocotools takes a match with the id 0 for none, so scores are a little low'
            )
