# ruff: noqa: E501  (tables)
"""Bad folders of own pictures, and bad options of init_config.py. Each case makes the folder `mine` first."""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Callable

import cv2
import numpy as np
from cases import CHECKPOINTS, PICTURES, Case, _edit, _write

sys.path.append(str(Path(__file__).resolve().parents[1] / 'test_owndata'))
import made_data as made

MAKERS = {**made.DETECTION, **made.SEGMENTATION, 'folders': made.make_folders}
TASK_OF = {**dict.fromkeys(made.DETECTION, 'det'), **dict.fromkeys(made.SEGMENTATION, 'seg'), 'folders': 'cls'}
COCO = 'annotations/instances_train.json'


def _mine(form: str, change: Callable = lambda root: None) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        root = folder / 'mine'
        root.mkdir()
        if form:
            MAKERS[form](root)
        change(root)

    return prepare


def _replace(path: str, old: str, new: str) -> Callable[[Path], None]:
    """Change a text wherever it stands in a file."""

    def change(root: Path) -> None:
        text = (root / path).read_text()
        assert old in text, (path, old)
        (root / path).write_text(text.replace(old, new))

    return change


def _gone(*patterns: str) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for pattern in patterns:
            for path in list(root.glob(pattern)):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    return change


def _image(path: str, pixels: np.ndarray) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        cv2.imwrite(str(root / path), pixels)

    return change


def _each(pattern: str, change: Callable[[Path], None]) -> Callable[[Path], None]:
    def changes(root: Path) -> None:
        for path in list(root.glob(pattern)):
            change(path)

    return changes


LABELS = made.label_map()
NOISE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
FOLDERS = [
    # form, what is wrong, what the message names, the change
    ('', 'empty', ('mine',), lambda root: None),
    ('', 'only text', ('mine', 'txt'), lambda root: (root / 'notes.txt').write_text('hello')),
    ('', 'only pictures', ('mine', 'jpg'), lambda root: made.picture(root / 'a.jpg')),
    ('coco', 'no pictures', ('train0.jpg', 'instances_train'), _gone('train', 'val')),
    ('coco', 'one picture missing', ('train1.jpg',), _gone('train/train1.jpg')),
    ('coco', 'no validation pictures', ('val0.jpg', 'instances_val'), _gone('val')),
    ('coco', 'a truncated JSON', ('instances_train.json',), lambda root: (root / COCO).write_text((root / COCO).read_text()[:200])),
    ('one_coco', 'a truncated JSON', ('labels.json',), lambda root: (root / 'labels.json').write_text('{"images": [')),
    ('one_coco', 'an empty JSON', ('labels.json',), lambda root: (root / 'labels.json').write_text('')),
    ('one_coco', 'a list as JSON', ('mine', 'json'), lambda root: (root / 'labels.json').write_text('[1, 2]')),
    ('one_coco', 'a binary JSON', ('labels.json',), lambda root: (root / 'labels.json').write_bytes(b'\xff\xfe\x00{')),
    ('one_coco', 'no categories', ('categories',), _edit('labels.json', lambda d: {**d, 'categories': []})),
    ('one_coco', 'no images', ('images',), _edit('labels.json', lambda d: {**d, 'images': []})),
    ('one_coco', 'no annotations', ('annotations',), _edit('labels.json', lambda d: {**d, 'annotations': []})),
    ('one_coco', 'images that are numbers', ('images[0]',), _edit('labels.json', lambda d: {**d, 'images': [1, 2]})),
    ('one_coco', 'one image', ('1 image',), _edit('labels.json', lambda d: {**d, 'images': d['images'][:1], 'annotations': d['annotations'][:2]})),
    ('one_coco', 'an unknown category', ('category_id', '77'), _edit('labels.json', lambda d: d['annotations'][0].update(category_id=77))),
    ('one_coco', 'boxes that are texts', ('bbox',), _edit('labels.json', lambda d: d['annotations'][0].update(bbox='1 2 3 4'))),
    ('one_coco', 'boxes of three numbers', ('bbox',), _edit('labels.json', lambda d: d['annotations'][0].update(bbox=[1, 2, 3]))),
    ('one_coco', 'images without sizes', ('width',), _edit('labels.json', lambda d: d['images'][0].pop('width') and None)),
    ('one_coco', 'categories twice', ('cat',), _edit('labels.json', lambda d: d['categories'][1].update(name='cat'))),
    ('one_coco', 'names of categories that are numbers', ('categories[0]',), _edit('labels.json', lambda d: d['categories'][0].update(name=5))),
    ('one_coco', 'two files', ('labels.json', 'more.json'), lambda root: shutil.copy(root / 'labels.json', root / 'more.json')),
    ('coco', 'other categories in val', ('fish', 'bird'), _replace('annotations/instances_val.json', 'bird', 'fish')),
    ('yolo', 'too many numbers', ('0.txt, line 1',), _replace('train/labels/0.txt', '0 ', '0 0.5 0.5 0.5 ')),
    ('yolo', 'too few numbers', ('0.txt, line 1',), lambda root: (root / 'train/labels/0.txt').write_text('0 0.5 0.5')),
    ('yolo', 'words', ('0.txt, line 1',), lambda root: (root / 'train/labels/0.txt').write_text('cat 0.5 0.5 0.1 0.1')),
    ('yolo', 'pixels for fractions', ('0.txt, line 1',), lambda root: (root / 'train/labels/0.txt').write_text('0 32 24 20 16')),
    ('yolo', 'NaN', ('0.txt, line 1',), lambda root: (root / 'train/labels/0.txt').write_text('0 nan 0.5 0.1 0.1')),
    ('yolo', 'half a class', ('0.txt, line 1',), lambda root: (root / 'train/labels/0.txt').write_text('0.5 0.5 0.5 0.1 0.1')),
    ('yolo', 'a class too many', ('class 2',), _replace('train/labels/0.txt', '1 ', '2 ')),
    ('yolo', 'a class below 0', ('class -1',), _replace('train/labels/0.txt', '1 ', '-1 ')),
    ('yolo', 'binary labels', ('0.txt',), lambda root: (root / 'train/labels/0.txt').write_bytes(b'\xff\xfe\x00')),
    ('yolo', 'no labels', ('label file',), _gone('*/labels')),
    ('yolo', 'no pictures', ('train',), _gone('*/images')),
    ('yolo', 'a broken yaml', ('data.yaml',), lambda root: (root / 'data.yaml').write_text('names: [a, b\ntrain: {')),
    ('yolo', 'no names', ('mine', 'names'), _replace('data.yaml', 'names', 'nanes')),
    ('yolo', 'names that are a text', ('names',), lambda root: (root / 'data.yaml').write_text('names: cat\ntrain: train/images\nval: val/images\n')),
    ('yolo', 'names of other numbers', ('names',), _replace('data.yaml', '0: cat', '5: cat')),
    ('yolo', 'no train', ('train',), _replace('data.yaml', 'train: ../train/images', 'nothing: 1')),
    ('yolo', 'train that is not there', ('nowhere',), _replace('data.yaml', '../train/images', 'nowhere')),
    ('yolo', 'a picture that is none', ('0.jpg',), lambda root: (root / 'train/images/0.jpg').write_text('hello')),
    ('voc', 'no objects', ('no objects',), _each('Annotations/*.xml', lambda path: path.write_text(f'<annotation><filename>{path.stem}.jpg</filename></annotation>'))),
    ('voc', 'no pictures', ('0.xml',), _gone('JPEGImages')),
    ('voc', 'a broken XML', ('0.xml',), lambda root: (root / 'Annotations/0.xml').write_text('<annotation><object>')),
    ('voc', 'an object without box', ('0.xml',), _replace('Annotations/0.xml', 'bndbox', 'box')),
    ('voc', 'an object without name', ('0.xml',), _replace('Annotations/0.xml', '<name>cat</name>', '')),
    ('voc', 'a box of words', ('0.xml',), _replace('Annotations/0.xml', '<xmin>5</xmin>', '<xmin>left</xmin>')),
    ('voc', 'boxes of no area', ('none of',), _each('Annotations/*.xml', lambda path: path.write_text(path.read_text().replace('<xmax>25</xmax>', '<xmax>5</xmax>').replace('<xmax>61</xmax>', '<xmax>37</xmax>')))),
    ('voc', 'other XML', ('mine', 'xml'), _each('Annotations/*.xml', lambda path: path.write_text('<html/>'))),
    ('labelme', 'no points', ('1.json',), _replace('1.json', '"points"', '"point"')),
    ('labelme', 'points that are words', ('1.json',), _replace('1.json', '[4, 6]', '["a", "b"]')),
    ('labelme', 'no label', ('1.json',), _replace('1.json', '"label": "cat"', '"label": null')),
    ('labelme', 'a shape that is a number', ('1.json',), _edit('1.json', lambda d: d.update(shapes=[3]))),
    ('labelme', 'no picture', ('1.json',), _gone('1.jpg')),
    ('labelme', 'one truncated', ('1.json',), lambda root: (root / '1.json').write_text('{"shapes": [')),
    ('labelme', 'no shapes at all', ('no objects',), _each('*.json', lambda path: path.write_text(json.dumps({**json.loads(path.read_text()), 'shapes': []})))),
    ('via', 'no picture', ('0.jpg',), _gone('train/0.jpg')),
    ('via', 'a region without class', ('region 0',), _edit('train/via_region_data.json', lambda d: d['0.jpg1000']['regions'][0].update(region_attributes={}))),
    ('via', 'a region of nothing', ('region 0',), _edit('train/via_region_data.json', lambda d: d['0.jpg1000']['regions'][0].update(shape_attributes={'name': 'rect'}))),
    ('via', 'regions that are numbers', ('region 0',), _edit('train/via_region_data.json', lambda d: d['0.jpg1000'].update(regions=[1]))),
    ('camvid', 'label maps of another size', ('0.png',), _image('trainannot/0.png', LABELS[:40])),
    ('camvid', 'label maps that are photographs', ('values',), _each('trainannot/*.png', lambda path: cv2.imwrite(str(path), NOISE))),
    ('camvid', 'one label map of colours', ('trainannot', 'valannot'), _image('trainannot/0.png', NOISE // 200 * 200)),
    ('camvid', 'label maps of 16 bits', ('300',), _image('trainannot/0.png', LABELS.astype(np.uint16) + 300)),
    ('camvid', 'label maps of one value', ('two at least',), _each('*annot/*.png', lambda path: cv2.imwrite(str(path), LABELS * 0))),
    ('camvid', 'no label maps', ('label maps',), _gone('*annot')),
    ('camvid', 'label maps of other names', ('label maps',), _each('*annot/*.png', lambda path: path.rename(path.with_name(f'x{path.name}')))),
    ('camvid', 'one pair', ('two at least', 'val'), _gone('val', 'valannot', 'train/[123].png')),
    ('camvid', 'a picture that is none', ('0.png',), lambda root: (root / 'train/0.png').write_text('hello')),
    ('camvid', 'a label map that is none', ('0.png',), lambda root: (root / 'trainannot/0.png').write_text('hello')),
    ('colours', 'colours without a name', ('values', 'names'), lambda root: (root / 'class_dict.csv').write_text('name,r,g,b\ndog,1,2,3\n')),
    ('colours', 'binary names', ('class_dict.csv',), lambda root: (root / 'class_dict.csv').write_bytes(b'\xff\xfe\x00')),
    ('folders', 'one class', ('1 folders', 'cat'), _gone('dog')),
    ('folders', 'a picture that is none', ('0.jpg',), lambda root: (root / 'cat/0.jpg').write_text('hello')),
    ('folders', 'no folders', ('0 folders', 'none'), lambda root: (_each('cat/*', lambda p: p.rename(root / f'c{p.name}'))(root), _gone('cat', 'dog')(root))),
]  # fmt: skip


def _init(form: str, *arguments: str) -> tuple:
    return 'init_config', ['mine', '--task', TASK_OF.get(form, 'det'), *arguments]


def owning() -> Iterator[Case]:
    """Folders, options and outputs of init_config.py."""
    for form, kind, names, change in FOLDERS:
        yield Case(f'folder: {form} {kind}', *_init(form), names, _mine(form, change))
    for kind, content in PICTURES.items():
        prepare = _mine('coco', lambda root, content=content: _write('train/train0.jpg', content)(root))
        yield Case(f'picture: {kind}', *_init('coco'), ('train0.jpg',), prepare)
    for kind, content in CHECKPOINTS.items():
        arguments = ['mine', '--task', 'det', '--pretrained', 'bad.pth']

        def prepare(folder: Path, content=content) -> None:
            _mine('coco')(folder)
            _write('bad.pth', content)(folder)

        yield Case(f'checkpoint: {kind}', 'init_config', arguments, ('bad.pth',), prepare)
    yield Case('task: of others', 'init_config', ['mine', '--task', 'seg'], ('label maps',), _mine('coco'))
    yield Case('task: of others', 'init_config', ['mine', '--task', 'det'], ('known here',), _mine('camvid'))
    yield Case('task: unknown', 'init_config', ['mine', '--task', 'pose'], ('pose',), _mine('coco'))
    yield Case('data: not there', 'init_config', ['nowhere', '--task', 'det'], ('nowhere',))
    yield Case('data: a picture', 'init_config', ['data/images/0.jpg', '--task', 'det'], ('0.jpg', 'data'))
    yield Case('data: a config', 'init_config', ['detection.py', '--task', 'det'], ('detection.py', '.py'))
    yield Case('data: a file', 'init_config', ['data/images/0.jpg', '--task', 'seg'], ('0.jpg',))
    options = (
        ('--model', 'nowhere'), ('--model', ''), ('--size', '3'), ('--size', 'x'), ('--size', '99999'), ('--iters', '0'),
        ('--iters', '-3'), ('--iters', 'many'), ('--seed', '-1'), ('--seed', 'x'), ('--classes', 'a,b'), ('--classes', 'a,,b'),
        ('--ignore', '9'), ('--pretrained', 'nowhere.pth'), ('--pretrained', 'detection.py'), ('--pretrained', 'data'),
        ('--out', 'config.txt'), ('--out', 'detection.py'), ('--out', 'data'), ('--out', '/proc/nowhere/a.py'),
        ('--out', 'detection.py/a.py'), ('--out', 'x' * 300 + '.py'), ('--out', ''), ('--nowhere', '1'),
    )  # fmt: skip
    for option, value in options:
        yield Case(
            f'option: {option} {value[:20]}',
            *_init('coco', option, value),
            (option, value[:100] or option),
            _mine('coco'),
        )
    for place in ('detection.py', '/proc/nowhere', 'detection.py/below', 'x' * 300):
        yield Case(
            f'option: --data-out {place[:20]}',
            *_init('yolo', '--data-out', place),
            ('--data-out', place[:100]),
            _mine('yolo'),
        )
    for classes in ('a,b', 'a', 'a,a,b'):
        yield Case(
            f'option: --classes {classes}', *_init('camvid', '--classes', classes), ('classes',), _mine('camvid')
        )
    for value in ('9', 'x', '0,1', ''):
        yield Case(
            f'option: --ignore {value}',
            *_init('camvid', '--ignore', value),
            ('--ignore', 'two at least'),
            _mine('camvid'),
        )
    yield Case('arguments: none', 'init_config', [], ('required',))
