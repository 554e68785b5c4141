"""Contact sheets of digit scenes, drawn from their files."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as rle

from .digit_files import COCO_FOLDERS, annotation_file, write_image
from .scene_settings import SPLITS

COLUMNS = 6


def draw_preview(out: Path, file: Path, scenes: int = 12, zoom: int = 2) -> None:
    """Draw a contact sheet from the files of a data set.

    Each scene is shown plain and, below it, with its boxes and masks; pictures of one digit with their classes.

    Args:
        out: A folder that :func:`mmsterf.datasets.digit_files.make_dataset` made.
        file: Picture to write.
        scenes: At most this many, half of them for validation.
        zoom: Enlargement, so that the drawing does not hide the digits.
    """
    of_split = _pictures if (out / 'cls').is_dir() else _scenes
    tiles = [tile for split in SPLITS for tile in of_split(out, split, scenes // 2, zoom)]
    columns = min(COLUMNS, len(tiles))
    tiles += [np.full_like(tiles[0], 255)] * (-len(tiles) % columns)
    rows = [np.hstack(tiles[start : start + columns]) for start in range(0, len(tiles), columns)]
    file.parent.mkdir(parents=True, exist_ok=True)
    write_image(file, np.vstack(rows))


def _scenes(out: Path, split: str, number: int, zoom: int):
    data = json.loads(annotation_file(out / 'coco', split).read_text())
    names = {category['id']: category['name'] for category in data['categories']}
    for image in data['images'][:number]:
        picture = _enlarged(out / 'coco' / COCO_FOLDERS[split] / image['file_name'], zoom)
        drawn = picture // 2
        for annotation in data['annotations']:
            if annotation['image_id'] == image['id']:
                _draw_instance(picture, drawn, annotation, names[annotation['category_id']], zoom)
        yield np.vstack([picture, drawn])


def _pictures(out: Path, split: str, number: int, zoom: int):
    for file in sorted((out / 'cls' / split).glob('*/*.jpg'), key=lambda file: file.name)[:number]:
        picture = _enlarged(file, 2 * zoom)
        _draw_name(picture, file.parent.name, (2, 14))
        yield picture


def _enlarged(file: Path, zoom: int) -> np.ndarray:
    return cv2.resize(cv2.imread(str(file)), None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)


def _draw_instance(picture: np.ndarray, drawn: np.ndarray, annotation: dict, name: str, zoom: int) -> None:
    mask = rle.decode(annotation['segmentation']).repeat(zoom, 0).repeat(zoom, 1)
    drawn[mask > 0] = picture[mask > 0]
    outline, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(drawn, outline, -1, (255, 255, 255), 1)
    x, y, w, h = (round(zoom * side) for side in annotation['bbox'])
    cv2.rectangle(drawn, (x, y), (x + w - 1, y + h - 1), (0, 255, 255), 1)
    _draw_name(drawn, name, (x + 2, y + 14))


def _draw_name(picture: np.ndarray, name: str, place: tuple[int, int]) -> None:
    for colour, thickness in (((0, 0, 0), 4), ((0, 255, 255), 1)):
        cv2.putText(picture, name, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, thickness, cv2.LINE_AA)
