"""Folders of made-up data in every format that init_config.py reads: pictures of 64 x 48 with two squares each."""

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import yaml

SIZE = (64, 48)
NAMES = ('cat', 'dog')
BOXES = ((4, 6, 20, 16), (36, 24, 24, 20))  # x, y, width, height of a cat and a dog


def picture(path: Path, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    image = rng.integers(90, 130, (48, 64, 3), np.uint8)
    for (x, y, w, h), value in zip(BOXES, (250, 10)):
        image[y : y + h, x : x + w] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)


def polygon(box) -> list:
    x, y, w, h = box
    return [[x, y], [x + w, y], [x + w, y + h], [x, y + h]]


def coco(root: Path, names: list, masks: bool = True, lean: bool = False) -> dict:
    images, annotations = [], []
    for i, name in enumerate(names):
        images.append({'id': i + 1, 'file_name': name, 'width': 64, 'height': 48})
        for category, box in enumerate(BOXES, 1):
            entry = {'id': len(annotations) + 1, 'image_id': i + 1, 'category_id': category, 'bbox': list(box)}
            if not lean:
                entry.update(area=box[2] * box[3], iscrowd=0)
            if masks:
                entry['segmentation'] = [[v for point in polygon(box) for v in point]]
            annotations.append(entry)
    categories = [{'id': i, 'name': name} for i, name in enumerate((*NAMES, 'bird'), 1)]
    return {'images': images, 'annotations': annotations, 'categories': categories}


def make_coco(root: Path) -> None:
    for split, number in (('train', 4), ('val', 2)):
        names = [f'{split}{i}.jpg' for i in range(number)]
        for i, name in enumerate(names):
            picture(root / split / name, i)
        (root / 'annotations').mkdir(exist_ok=True)
        (root / 'annotations' / f'instances_{split}.json').write_text(json.dumps(coco(root, names)))


def make_one_coco(root: Path) -> None:
    """One file, without a split, areas, and crowds, as many tools write it."""
    names = [f'{i}.jpg' for i in range(5)]
    for i, name in enumerate(names):
        picture(root / name, i)
    (root / 'labels.json').write_text(json.dumps(coco(root, names, masks=False, lean=True)))


def make_yolo(root: Path) -> None:
    for split, number in (('train', 4), ('val', 2)):
        for i in range(number):
            picture(root / split / 'images' / f'{i}.jpg', i)
            lines = [
                f'{c} {(x + w / 2) / 64} {(y + h / 2) / 48} {w / 64} {h / 48}' for c, (x, y, w, h) in enumerate(BOXES)
            ]
            (root / split / 'labels').mkdir(exist_ok=True)
            (root / split / 'labels' / f'{i}.txt').write_text('\n'.join(lines))
    data = {'names': dict(enumerate(NAMES)), 'train': '../train/images', 'val': '../val/images'}
    (root / 'data.yaml').write_text(yaml.safe_dump(data))


def make_voc(root: Path) -> None:
    for i in range(5):
        picture(root / 'JPEGImages' / f'{i}.jpg', i)
        objects = ''.join(
            f'<object><name>{n}</name><difficult>0</difficult><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin>'
            f'<xmax>{x + w + 1}</xmax><ymax>{y + h + 1}</ymax></bndbox></object>'
            for n, (x, y, w, h) in zip(NAMES, BOXES)
        )
        (root / 'Annotations').mkdir(exist_ok=True)
        text = f'<annotation><filename>{i}.jpg</filename>{objects}</annotation>'
        (root / 'Annotations' / f'{i}.xml').write_text(text)
    (root / 'ImageSets' / 'Main').mkdir(parents=True)
    (root / 'ImageSets' / 'Main' / 'train.txt').write_text('0\n1\n2\n')
    (root / 'ImageSets' / 'Main' / 'val.txt').write_text('3\n4\n')


def make_labelme(root: Path) -> None:
    for i in range(4):
        picture(root / f'{i}.jpg', i)
        shapes = [
            {'label': name, 'shape_type': 'polygon', 'points': polygon(box), 'group_id': None}
            for name, box in zip(NAMES, BOXES)
        ]
        shapes.append({'label': 'cat', 'shape_type': 'line', 'points': [[1, 1], [2, 2]]})
        data = {'shapes': shapes, 'imagePath': f'{i}.jpg', 'imageHeight': 48, 'imageWidth': 64, 'imageData': None}
        (root / f'{i}.json').write_text(json.dumps(data))


def make_via(root: Path) -> None:
    for split, number in (('train', 3), ('val', 2)):
        entries = {}
        for i in range(number):
            picture(root / split / f'{i}.jpg', i)
            (x, y, w, h), other = BOXES
            points = polygon(other)
            rect = {'name': 'rect', 'x': x, 'y': y, 'width': w, 'height': h}
            outline = {
                'name': 'polygon',
                'all_points_x': [p[0] for p in points],
                'all_points_y': [p[1] for p in points],
            }
            regions = [
                {'shape_attributes': shape, 'region_attributes': {'kind': name}}
                for shape, name in ((rect, 'cat'), (outline, 'dog'))
            ]
            entries[f'{i}.jpg1000'] = {'filename': f'{i}.jpg', 'size': 1000, 'regions': regions, 'file_attributes': {}}
        (root / split / 'via_region_data.json').write_text(json.dumps(entries))


def label_map() -> np.ndarray:
    labels = np.zeros((48, 64), np.uint8)
    for index, (x, y, w, h) in enumerate(BOXES, 1):
        labels[y : y + h, x : x + w] = index
    return labels


def make_camvid(root: Path) -> None:
    """Grey label maps in trainannot and valannot."""
    for split, number in (('train', 4), ('val', 2)):
        for i in range(number):
            picture(root / split / f'{i}.png', i)
            (root / f'{split}annot').mkdir(exist_ok=True)
            cv2.imwrite(str(root / f'{split}annot' / f'{i}.png'), label_map())


def make_cityscapes(root: Path) -> None:
    """Palette label maps below city folders, with colours and instances beside them."""
    from PIL import Image

    for split, number in (('train', 4), ('val', 2)):
        for i in range(number):
            picture(root / 'leftImg8bit' / split / 'ulm' / f'ulm_{i}_leftImg8bit.png', i)
            folder = root / 'gtFine' / split / 'ulm'
            folder.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(label_map(), 'P')
            image.putpalette([90, 90, 90, 250, 250, 250, 10, 10, 10])
            image.save(folder / f'ulm_{i}_gtFine_labelIds.png')
            image.convert('RGB').save(folder / f'ulm_{i}_gtFine_color.png')
            image.save(folder / f'ulm_{i}_gtFine_instanceIds.png')


def make_colours(root: Path) -> None:
    """Colours, with a list of their names, one of which is no class; no split."""
    colours = np.array([[0, 0, 0], [200, 0, 0], [0, 0, 200]], np.uint8)  # blue, green, red
    for i in range(5):
        picture(root / 'images' / f'{i}.jpg', i)
        (root / 'masks').mkdir(exist_ok=True)
        cv2.imwrite(str(root / 'masks' / f'{i}_mask.png'), colours[label_map()])
    with open(root / 'class_dict.csv', 'w', newline='') as file:
        csv.writer(file).writerows([['name', 'r', 'g', 'b'], ['void', 0, 0, 0], ['dog', 200, 0, 0], ['cat', 0, 0, 200]])


def make_folders(root: Path) -> None:
    for name in NAMES:
        for i in range(4):
            picture(root / name / f'{i}.jpg', i)


DETECTION = {
    'coco': make_coco,
    'one_coco': make_one_coco,
    'yolo': make_yolo,
    'voc': make_voc,
    'labelme': make_labelme,
    'via': make_via,
}
SEGMENTATION = {'camvid': make_camvid, 'cityscapes': make_cityscapes, 'colours': make_colours}
