"""YOLO annotations: data.yaml, folders of images, and a text file with boxes or polygons for each image."""

import math
from pathlib import Path
from typing import Optional

import yaml

from mmsterf.datasets.findings import listed, short
from mmsterf.errors import InvalidInput

from .boxes import CocoWriter
from .files import SPLITS, files_below, is_image, read_text, split_of, upright_size


def read_yaml(path: Path) -> Optional[dict]:
    """A data.yaml of YOLO, or None if it is another file."""
    try:
        data = yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise InvalidInput(f'{path} is no YAML: {short(str(error).splitlines()[0], 120)}') from None
    return data if isinstance(data, dict) and 'names' in data else None


def read_yolo(root: Path, files: list, file: Optional[Path], data: Optional[dict]) -> CocoWriter:
    """YOLO with `data`, the contents of data.yaml, or with a file classes.txt and text files beside the images."""
    names = _names(file, data) if data else read_text(file).split('\n')
    names = [str(name).strip() for name in names if str(name).strip()]
    writer = CocoWriter(root, names)
    chosen = {}
    for split in SPLITS if data else ():
        for entry in data[split] if isinstance(data.get(split), list) else [data.get(split)]:
            if entry:
                chosen.update(dict.fromkeys(_images(file, data, str(entry), split), split))
    if data and 'train' not in chosen.values():
        raise InvalidInput(f'{file} has no train with images; its keys are {listed(data)}')
    images = chosen or {path: split_of(path.relative_to(root)) for path in files if is_image(path)}
    labelled = 0
    for path, split in images.items():
        size = upright_size(path)
        try:
            writer.image(path, split, size)
        except ValueError:
            raise InvalidInput(f'{file}: {path} is outside of {root}; give the folder that holds both') from None
        label = _label(path)
        if label.is_file():
            labelled += 1
            _objects(writer, label, names, size)
    if not labelled:
        raise InvalidInput(
            f'{root}: none of {len(images)} images has a label file; {_label(next(iter(images)))} is not there'
        )
    if labelled < len(images):
        writer.notes.append(f'{len(images) - labelled} of {len(images)} images have no label file, and so no objects')
    return writer


def _names(file: Path, data: dict) -> list:
    names = data['names']
    if isinstance(names, dict):
        if sorted(map(str, names)) != sorted(str(i) for i in range(len(names))):
            raise InvalidInput(f'{file}: names has the keys {listed(names)}; valid are 0 to {len(names) - 1}')
        names = [names[key] for key in sorted(names, key=int)]
    if not isinstance(names, list) or not names:
        raise InvalidInput(f'{file}: names is {short(names)}; it must be a list of names')
    return names


def _images(file: Path, data: dict, entry: str, split: str) -> list:
    """Images of one entry of data.yaml: a folder, or a text file that lists them."""
    base = file.parent / str(data.get('path') or '')
    stripped = entry
    while stripped.startswith('../'):  # exports write ../train/images for train/images
        stripped = stripped[3:]
    tried = [folder / name for folder in (base, file.parent) for name in (entry, stripped)]
    there = next((path for path in tried if path.exists()), None)
    if there is None:
        if split == 'test':
            return []
        raise InvalidInput(f'{file}: {split} is {entry}, but {tried[0]} is not there')
    if there.is_file():
        lines = [line.strip() for line in read_text(there).splitlines() if line.strip()]
        return [path if (path := base / line).is_file() else there.parent / line for line in lines]
    return [path for path in files_below(there) if is_image(path)]


def _label(image: Path) -> Path:
    parts = list(image.with_suffix('.txt').parts)
    if 'images' in parts:
        parts[len(parts) - 1 - parts[::-1].index('images')] = 'labels'
    return Path(*parts)


def _objects(writer: CocoWriter, label: Path, names: list, size: tuple) -> None:
    width, height = size
    for number, line in enumerate(read_text(label).splitlines(), 1):
        if not line.strip():
            continue
        try:
            index, *values = (float(value) for value in line.split())
            if not all(map(math.isfinite, (index, *values))) or index != int(index):
                raise ValueError
        except ValueError:
            text = f'{label}, line {number} is {short(line)}; valid are numbers: class x y width height'
            raise InvalidInput(text) from None
        if not 0 <= index < len(names):
            raise InvalidInput(
                f'{label}, line {number} has the class {int(index)}; there are {len(names)}, 0 to {len(names) - 1}'
            )
        if len(values) > 3 and not all(-1 <= value <= 2 for value in values):
            raise InvalidInput(
                f'{label}, line {number} is {short(line)}; behind the class are fractions of the image, 0 to 1'
            )
        if len(values) in (4, 5):  # the fifth is a confidence
            x, y, w, h = values[:4]
            writer.add(names[int(index)], [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height])
        elif len(values) > 5 and len(values) % 2 == 0:
            writer.add(names[int(index)], polygons=[[v * size[i % 2] for i, v in enumerate(values)]])
        else:
            raise InvalidInput(
                f'{label}, line {number} has {len(values)} numbers behind the class; valid are 4, a box, or the pairs '
                'of a polygon'
            )
