"""Bad annotation files end in one sentence that names the entry, or are handled with a count."""

import copy
import json
import re

import numpy as np
import pytest
from pycocotools import mask as coco_masks

from mmsterf.datasets.check_coco import check_coco
from mmsterf.datasets.check_masks import mask_error, run_lengths

SQUARE = [[1, 1, 9, 1, 9, 9, 1, 9]]


def good() -> dict:
    return {
        'images': [{'id': i, 'file_name': f'{i}.jpg', 'width': 64, 'height': 48} for i in (1, 2)],
        'annotations': [
            {
                'id': i,
                'image_id': i,
                'category_id': i,
                'bbox': [1, 1, 8, 8],
                'area': 64,
                'iscrowd': 0,
                'segmentation': copy.deepcopy(SQUARE),
            }
            for i in (1, 2)
        ],
        'categories': [{'id': 1, 'name': 'cat'}, {'id': 2, 'name': 'dog'}],
    }


def check(tmp_path, data, classes=('cat', 'dog'), **kwargs):
    file = tmp_path / 'a.json'
    file.write_bytes(data) if isinstance(data, bytes) else file.write_text(json.dumps(data))
    return check_coco(str(file), classes, **{'masks': True, 'scored': True, **kwargs})


def test_a_good_file_passes(tmp_path):
    report = check(tmp_path, good())
    assert not report.errors and not report.warnings
    assert (report.images, report.objects, report.classes) == (2, 2, {'cat': 1, 'dog': 1})


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'a.json is no JSON, .*: it is empty'),
        (b'  \n', 'it is empty'),
        (json.dumps(good()).encode()[:-40], 'is no JSON.* at line 1, column'),
        (b'\x89PNG\xff\x00', 'is no JSON'),
        (b'[' * 100000, 'is no JSON'),
        (b'[1]', 'holds a list; COCO annotations are an object with images, annotations, categories'),
        (b'"a"', 'holds a str'),
        (b'{}', 'has no images and no annotations and no categories; its keys are none'),
    ],
)
def test_what_is_no_annotation_file(tmp_path, content, message):
    (error,) = check(tmp_path, content).errors
    assert_matches(error, message)


def assert_matches(finding, message):
    assert re.search(message, str(finding)), str(finding)
    assert '\n' not in str(finding)


def drop(part, key):
    return lambda data: data[part][1].pop(key)


def put(part, key, value):
    return lambda data: data[part][1].__setitem__(key, value)


def code(size, counts):
    return put('annotations', 'segmentation', {'size': size, 'counts': counts})


COMPRESSED = coco_masks.encode(np.asfortranarray(np.eye(48, 64, dtype=np.uint8)))['counts'].decode()


@pytest.mark.parametrize(
    ('spoil', 'message'),
    [
        *((lambda data, part=part: data.pop(part), f'has no {part}; its keys are') for part in good()),
        *((lambda data, part=part: data.__setitem__(part, []), f'{part} is an empty list') for part in good()),
        *((lambda data, part=part: data.__setitem__(part, {}), f'{part} is a dict') for part in good()),
        *((lambda data, part=part: data[part].append(3), rf'{part}\[2\] is 3') for part in good()),
        *((drop(part, 'id'), rf'{part}\[1\] has no id') for part in good()),
        *((put(part, 'id', [1]), rf'{part}\[1\] id is \[1\]') for part in good()),
        *((put(part, 'id', float('nan')), rf'{part}\[1\] id is nan') for part in good()),
        *((put(part, 'id', 1), rf'{part}\[1\] has the id 1 of {part}\[0\]') for part in good()),
        (drop('images', 'file_name'), r'images\[1\] \(id 2\) has the file_name None'),
        (put('images', 'file_name', 7), 'has the file_name 7'),
        (drop('images', 'width'), r'images\[1\] \(id 2\) has no width'),
        (put('images', 'height', 0), 'has the height 0'),
        (put('images', 'height', '48'), "has the height '48'"),
        (put('images', 'width', float('inf')), 'has the width inf'),
        (lambda data: data['images'][1].update(width=10**6, height=10**6), 'OpenCV reads up to'),
        (drop('annotations', 'bbox'), r'annotations\[1\] \(id 2\) has no bbox; valid is \[x, y, width, height\]'),
        (drop('annotations', 'area'), 'has no area'),
        (drop('annotations', 'iscrowd'), 'has no iscrowd; the evaluation needs'),
        (drop('annotations', 'image_id'), 'has no image_id'),
        (drop('annotations', 'category_id'), 'has no category_id'),
        (drop('annotations', 'segmentation'), 'has no segmentation, but the config reads masks'),
        (put('annotations', 'category_id', 3), r'has the category_id 3; the categories of the file are 1, 2'),
        (put('annotations', 'id', 'b'), 'the evaluation needs an integer as id'),
        *(
            (put('annotations', 'bbox', box), r'annotations\[1\] \(id 2\) has the bbox')
            for box in (None, [], [1, 2, 3], '1234', [1, 2, float('nan'), 4], [float('inf'), 1, 1, 1], ['1', 2, 3, 4])
        ),
        (put('annotations', 'bbox', [10**400, 0, 1, 1]), 'has the bbox'),
        (put('annotations', 'segmentation', 'mask'), "segmentation is 'mask'"),
        (put('annotations', 'segmentation', [1, 1, 9, 1, 9, 9]), 'not a list of polygons'),
        (put('annotations', 'segmentation', [[1, 1, 9, float('nan'), 9, 9]]), 'no finite numbers'),
        (put('annotations', 'segmentation', [[1, 1, 9, '1', 9, 9]]), 'no finite numbers'),
        (
            put('annotations', 'segmentation', [[1, 1, 1e8, 1, 9, 9]]),
            'no finite numbers in or near the image of 64 x 48',
        ),
        (put('annotations', 'segmentation', [[1, 1]]), 'pycocotools makes no mask'),
        (code([10**6, 10**6], [10**12]), r"has the size \[1000000, 1000000\], but the image's .* is \[48, 64\]"),
        (code([64, 48], [3072]), 'the two are swapped'),
        (code([48, 64], [3000]), 'add up to 3000 pixels, but the image of 64 x 48 has 3072'),
        (code([48, 64], [4000, -928]), 'valid are numbers of pixels'),
        (code([48, 64], COMPRESSED[:-3]), 'counts'),
        (code([48, 64], 'é'), 'no compressed run-length code'),
        (code([48, 64], ''), 'no compressed run-length code'),
        (code([48, 64], None), 'has counts None'),
        (put('annotations', 'segmentation', {'counts': [3072]}), r"has the keys \['counts'\]"),
    ],
)
def test_errors_name_entry_and_what(tmp_path, spoil, message):
    data = good()
    spoil(data)
    (error, *_) = check(tmp_path, data).errors
    assert_matches(error, message)


@pytest.mark.parametrize(
    ('spoil', 'message', 'objects'),
    [
        (put('annotations', 'bbox', [1, 1, 0, 8]), 'less than one pixel are left out', 1),
        (put('annotations', 'bbox', [9, 9, -5, -5]), 'less than one pixel are left out', 1),
        (put('annotations', 'area', 0), 'less than one pixel', 1),
        (put('annotations', 'bbox', [100, 1, 8, 8]), 'outside its image of 64 x 48: left out', 1),
        (put('annotations', 'bbox', [60, 1, 8, 8]), 'across the border', 2),
        (put('annotations', 'image_id', 9), 'has the image_id 9, which no image has', 1),
        (
            put('annotations', 'segmentation', [*SQUARE, [1, 1, 2]]),
            'has 1 of 2 polygons with fewer than three points',
            2,
        ),
        (put('images', 'file_name', '1.jpg'), r"is the file '1.jpg' of images\[0\] once more", 2),
        (put('annotations', 'id', 0), 'pycocotools takes a match with the id 0 for none', 2),
    ],
)
def test_what_is_left_out_is_counted(tmp_path, spoil, message, objects):
    data = good()
    spoil(data)
    report = check(tmp_path, data)
    assert not report.errors and report.objects == objects
    assert_matches(report.warnings[0], message)


def test_further_ones_are_counted(tmp_path):
    data = good()
    for entry in data['annotations']:
        entry['bbox'] = [1]
    (error,) = check(tmp_path, data).errors
    assert str(error).endswith('(and 1 more like it)') and 'annotations[0] (id 1)' in str(error)


@pytest.mark.parametrize(
    ('classes', 'own', 'message'),
    [
        (
            ('cat', 'dgo'),
            True,
            "has 'dgo', which .*a.json does not have, did you mean 'dog'. Its categories are cat, dog",
        ),
        (('cat', 'dog', 'zebra'), True, "has 'zebra', which .* does not have; Its categories"),
        (('dog', 'cat'), True, r"another order .* write classes=\('cat', 'dog'\)"),
        (
            ('person', 'car'),
            False,
            r"not set, .* own 2 \(person, car\), .* set metainfo=dict\(classes=\('cat', 'dog'\)\)",
        ),
        ((), True, 'classes is empty'),
        ('cat', True, r"is the string 'cat'; it must be a tuple of names: \('cat',\)"),
        (('cat', 'cat'), True, "has 'cat' more than once"),
        (('cat', 3), True, 'must be a tuple of names'),
    ],
)
def test_class_names(tmp_path, classes, own, message):
    (error,) = check(tmp_path, good(), classes, own_classes=own).errors
    assert_matches(error, message)


def test_classes_may_be_some_of_the_file_and_stock_orders_are_a_warning(tmp_path):
    report = check(tmp_path, good(), ('dog',))
    assert not report.errors and not report.warnings and report.classes == {'dog': 1}
    report = check(tmp_path, good(), ('dog', 'cat'), own_classes=False)
    assert not report.errors
    assert_matches(report.warnings[0], 'another order')


def test_two_categories_of_one_name(tmp_path):
    data = good()
    data['categories'].append({'id': 3, 'name': 'dog'})
    assert_matches(check(tmp_path, data).errors[0], "has 2 categories of the name 'dog'")


def test_training_needs_less_than_evaluation(tmp_path):
    data = good()
    for entry in data['annotations']:
        del entry['iscrowd'], entry['segmentation']
        entry['id'] = str(entry['id'])
    assert not check(tmp_path, data, masks=False, scored=False).errors


def test_classes_without_objects_are_told_of_training_sets(tmp_path):
    data = good()
    data['annotations'].pop()
    assert not check(tmp_path, data).warnings
    assert_matches(check(tmp_path, data, scored=False).warnings[0], 'no object of 1 of 2 classes: dog')


def test_run_lengths_are_those_of_pycocotools():
    rng = np.random.default_rng(0)
    for height, width, density in ((48, 64, 0.5), (7, 5, 0.1), (500, 400, 0.001), (3, 3, 1.0), (300, 1000, 0.0)):
        mask = np.asfortranarray((rng.random((height, width)) < density).astype(np.uint8))
        compressed = coco_masks.encode(mask)['counts'].decode()
        runs = run_lengths(compressed)
        assert runs.sum() == height * width and runs[1::2].sum() == mask.sum()
        assert mask_error({'size': [height, width], 'counts': compressed}, width, height) is None
        assert mask_error({'size': [height, width], 'counts': runs.tolist()}, width, height) is None
