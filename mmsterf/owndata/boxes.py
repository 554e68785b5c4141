"""YOLO, Pascal VOC, labelme and VIA annotations, each read into COCO's form.

Polygons are kept as they are written. (supervision's export, which reads three of the four, draws them into masks and
writes masks of several parts as crowds, which training leaves out; the tests compare boxes with it.)
"""

import json
import math
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from mmsterf.datasets.findings import listed, short
from mmsterf.errors import InvalidInput

from .files import is_image, read_text, split_of, upright_size


class CocoWriter:
    """Collects images and objects of the splits of a data set in COCO's form.

    Args:
        root (Path): Folder that file names are relative to.
        classes (list, optional): Names, in order; else those that occur, sorted.
    """

    def __init__(self, root: Path, classes: Optional[list] = None) -> None:
        self.root, self.classes = root, classes
        self.parts: dict = {}
        self.notes: list = []
        self.skipped: Counter = Counter()

    def image(self, path: Path, split: Optional[str], size: Optional[tuple] = None) -> None:
        """Add an image; objects that follow are its own."""
        part = self.parts.setdefault(split or 'all', {'images': [], 'annotations': []})
        width, height = size or upright_size(path)
        name = path.resolve().relative_to(self.root.resolve()).as_posix()
        self._image = {'id': len(part['images']) + 1, 'file_name': name, 'width': width, 'height': height}
        part['images'].append(self._image)
        self._part = part

    def add(self, name: str, box: Optional[list] = None, polygons: Optional[list] = None, crowd: int = 0) -> None:
        """Add an object of the last image: its box [x, y, width, height], or the polygons that it follows from."""
        if box is None:
            xs, ys = [v for p in polygons for v in p[::2]], [v for p in polygons for v in p[1::2]]
            box = [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]
        area = sum(map(_area, polygons)) if polygons else box[2] * box[3]
        entry = {
            'id': len(self._part['annotations']) + 1,
            'image_id': self._image['id'],
            'name': name,
            'bbox': [round(v, 3) for v in box],
            'area': round(area, 3),
            'iscrowd': crowd,
        }
        if polygons:
            entry['segmentation'] = [[round(v, 3) for v in polygon] for polygon in polygons]
        self._part['annotations'].append(entry)

    def coco(self) -> dict:
        """Names of splits ('all' where none was named) to COCO annotations."""
        names = self.classes or sorted({a['name'] for part in self.parts.values() for a in part['annotations']})
        ids = {name: index + 1 for index, name in enumerate(names)}
        for part in self.parts.values():
            part['categories'] = [{'id': index, 'name': name} for name, index in ids.items()]
            for entry in part['annotations']:
                entry['category_id'] = ids[entry.pop('name')]
        if self.skipped:
            shapes = listed(f'{count} {name}' for name, count in self.skipped.items())
            self.notes.append(f'shapes without an area are left out: {shapes}')
        return self.parts


def _area(polygon: list) -> float:
    xs, ys = polygon[::2], polygon[1::2]
    return abs(sum(xs[i - 1] * ys[i] - xs[i] * ys[i - 1] for i in range(len(xs)))) / 2


def _ellipse(x: float, y: float, a: float, b: float, count: int = 32) -> list:
    angles = [2 * math.pi * i / count for i in range(count)]
    return [value for t in angles for value in (x + a * math.cos(t), y + b * math.sin(t))]


def _json(path: Path):
    try:
        with open(path, encoding='utf-8-sig') as stream:
            return json.load(stream)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f'{path} is no JSON: {short(str(error))}; was it written to its end?') from None


class _Images:
    """Finds images by the names that annotations give them."""

    def __init__(self, files: list) -> None:
        self.by_name: dict = {}
        self.by_stem: dict = {}
        for path in filter(is_image, files):
            self.by_name.setdefault(path.name, []).append(path)
            self.by_stem.setdefault(path.stem, []).append(path)

    def find(self, name: str, annotation: Path) -> Path:
        """The image of an annotation file: as named, of the same split if there are several."""
        name = str(name or '').replace('\\', '/')
        if name and (annotation.parent / name).is_file():
            return annotation.parent / name
        found = self.by_name.get(Path(name).name) or self.by_stem.get(annotation.stem) or []
        if split_of(annotation):  # 1.jpg of val is not that of train
            found = [path for path in found if split_of(path) in (None, split_of(annotation))]
        if len(found) > 1:
            same = [path for path in found if split_of(path) == split_of(annotation)]
            found = [path for path in same if path.parent == annotation.parent] or same or found
        if len(found) != 1:
            what = f'{found[0]} and {found[1]} have that name' if found else 'it is not below the data folder'
            raise InvalidInput(f'{annotation} is of the image {name or "(unnamed)"}, but {what}')
        return found[0]


def read_voc(root: Path, files: list) -> CocoWriter:
    """Pascal VOC: an XML file for each image; ImageSets/*/train.txt and val.txt say what is for what."""
    writer, images = CocoWriter(root), _Images(files)
    lists = {
        name: set(read_text(path).split())
        for path in files
        if path.suffix == '.txt' and 'ImageSets' in path.parts and (name := path.stem) in ('train', 'val', 'test')
    }
    for path in (p for p in files if p.suffix.lower() == '.xml'):
        try:
            tree = ElementTree.parse(path).getroot()
        except ElementTree.ParseError as error:
            raise InvalidInput(f'{path} is no XML: {error}; was it written to its end?') from None
        if tree.tag != 'annotation':
            continue
        split = next((name for name, stems in lists.items() if path.stem in stems), None)
        if lists and split is None:
            continue
        image = images.find(tree.findtext('filename', ''), path)
        writer.image(image, split or split_of(path.relative_to(root)) or split_of(image.relative_to(root)))
        for index, item in enumerate(tree.iter('object')):
            name, box = (item.findtext('name') or '').strip(), item.find('bndbox')
            try:
                x1, y1, x2, y2 = (float(box.findtext(key)) - 1 for key in ('xmin', 'ymin', 'xmax', 'ymax'))
            except (AttributeError, TypeError, ValueError):
                raise InvalidInput(
                    f'{path}: object {index} ({name or "unnamed"}) has no bndbox with numbers xmin, ymin, xmax, ymax'
                ) from None
            if not name:
                raise InvalidInput(f'{path}: object {index} has no name')
            # mmdet and the VOC evaluation ignore difficult objects; crowds are what COCO ignores.
            writer.add(name, [x1, y1, x2 - x1, y2 - y1], crowd=int((item.findtext('difficult') or '0').strip() == '1'))
    return writer


def read_labelme(root: Path, files: list) -> CocoWriter:
    """labelme: a JSON file for each image, with shapes; those of one label and group are one object."""
    writer, images = CocoWriter(root), _Images(files)
    for path in (p for p in files if p.suffix.lower() == '.json'):
        data = _json(path)
        if not isinstance(data, dict) or not isinstance(data.get('shapes'), list):
            continue
        image = images.find(data.get('imagePath'), path)
        writer.image(image, split_of(path.relative_to(root)) or split_of(image.relative_to(root)))
        groups: dict = {}
        for index, shape in enumerate(data['shapes']):
            if not isinstance(shape, dict):
                raise InvalidInput(f'{path}: shapes[{index}] is {short(shape)}; it must be an object')
            kind, points, name = shape.get('shape_type') or 'polygon', shape.get('points'), shape.get('label')
            if not isinstance(name, str) or not name or not _are_points(points):
                raise InvalidInput(f'{path}: shapes[{index}] has the label {short(name)} and points {short(points)}')
            box, polygon = None, None
            if kind == 'polygon' and len(points) > 2:
                polygon = [float(value) for point in points for value in point]
            elif kind == 'circle' and len(points) == 2:
                radius = math.dist(*points)
                polygon = _ellipse(*points[0], radius, radius)
            elif kind == 'rectangle' and len(points) in (2, 4):
                (x1, x2), (y1, y2) = ((min(v), max(v)) for v in zip(*points))
                box = [x1, y1, x2 - x1, y2 - y1]
            else:
                writer.skipped[kind] += 1
                continue
            group = shape.get('group_id')
            key = (name, index if group is None or box else f'group {group}')
            groups.setdefault(key, [name, box, []])[2].append(polygon)
        for name, box, polygons in groups.values():
            writer.add(name, box, None if box else polygons)
    return writer


def _are_points(points) -> bool:
    numbers = (int, float)
    return isinstance(points, list) and all(
        isinstance(p, list) and len(p) == 2 and all(isinstance(v, numbers) and math.isfinite(v) for v in p)
        for p in points
    )


def via_entries(data) -> list:
    """Images of a VIA project or export, or an empty list."""
    entries = data.get('_via_img_metadata', data) if isinstance(data, dict) else {}
    entries = list(entries.values()) if isinstance(entries, dict) else []
    return entries if all(isinstance(e, dict) and 'regions' in e and 'filename' in e for e in entries) else []


def _regions(path: Path, entry: dict) -> Iterator[dict]:
    regions = entry['regions'] or []
    for index, region in enumerate(regions.values() if isinstance(regions, dict) else regions):
        if not isinstance(region, dict):
            raise InvalidInput(f'{path}: region {index} of {entry["filename"]} is {short(region)}')
        yield region


def read_via(root: Path, files: list) -> CocoWriter:
    """VIA: JSON files with the regions of many images; the class is the attribute that most regions have."""
    writer, images = CocoWriter(root), _Images(files)
    all_entries = [(p, entry) for p in files if p.suffix.lower() == '.json' for entry in via_entries(_json(p))]
    keys = Counter(
        key
        for path, entry in all_entries
        for region in _regions(path, entry)
        for key, value in (region.get('region_attributes') or {}).items()
        if value
    )
    key = keys.most_common(1)[0][0] if keys else None
    if key is None:
        writer.notes.append("regions have no attributes: all objects are of the class 'object'")
    elif len(keys) > 1:
        others = listed(sorted(set(keys) - {key}))
        writer.notes.append(f'the attribute {key!r} is taken for the class; others are {others}')
    for path, entry in all_entries:
        image = images.find(entry['filename'], path)
        writer.image(image, split_of(path.relative_to(root)) or split_of(image.relative_to(root)))
        for index, region in enumerate(_regions(path, entry)):
            shape, value = region.get('shape_attributes') or {}, (region.get('region_attributes') or {}).get(key)
            if isinstance(value, dict):  # check boxes: {name: True}
                value = next((name for name, on in value.items() if on), None)
            if key is not None and not value:
                raise InvalidInput(f'{path}: region {index} of {entry["filename"]} has no {key!r}, its class')
            try:
                box, polygon = _via_shape(shape)
            except (KeyError, TypeError, ValueError):
                raise InvalidInput(f'{path}: region {index} of {entry["filename"]} is {short(shape)}') from None
            if box is None and polygon is None:
                writer.skipped[str(shape.get('name'))] += 1
                continue
            writer.add(str(value or 'object').strip(), box, [polygon] if polygon else None)
    return writer


def _via_shape(shape: dict) -> tuple:
    kind = shape.get('name')
    if kind == 'rect':
        return [float(shape[key]) for key in ('x', 'y', 'width', 'height')], None
    if kind in ('polygon', 'polyline') and len(shape['all_points_x']) > 2:
        return None, [float(v) for point in zip(shape['all_points_x'], shape['all_points_y']) for v in point]
    if kind in ('circle', 'ellipse'):
        return None, _ellipse(
            shape['cx'], shape['cy'], shape.get('rx', shape.get('r')), shape.get('ry', shape.get('r'))
        )
    return None, None
