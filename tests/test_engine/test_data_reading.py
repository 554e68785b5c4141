"""Images and label maps: what reading them tells, and which classes never occur."""

import re

import cv2
import numpy as np
import pytest
from PIL import Image

from mmsterf.datasets.check_images import read_image
from mmsterf.datasets.check_labels import LabelMaps
from mmsterf.datasets.findings import Report

NOISE = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
JPEG = cv2.imencode('.jpg', NOISE)[1].tobytes()


@pytest.mark.parametrize(
    ('content', 'size', 'error', 'odd'),
    [
        (JPEG, (64, 48), None, None),
        (b'', None, 'is an empty file', None),
        (b'hello', None, 'is no image', None),
        (JPEG[:1500], None, 'truncated or damaged', None),
        (cv2.imencode('.png', NOISE[:1, :1])[1].tobytes(), (1, 1), None, 'is of 1 x 1 pixels'),
        (cv2.imencode('.png', NOISE[..., 0].astype(np.uint16) * 99)[1].tobytes(), (64, 48), None, 'more than 8 bits'),
    ],
    ids=['good', 'empty', 'text', 'truncated', '1x1', '16-bit'],
)
def test_images(tmp_path, content, size, error, odd):
    (tmp_path / 'a.jpg').write_bytes(content)
    found = read_image(str(tmp_path / 'a.jpg'))
    assert found[0] == size
    for text, expected in zip(found[1:], (error, odd)):
        assert text is None if expected is None else expected in text


def test_images_of_print_and_none(tmp_path):
    Image.fromarray(NOISE).convert('CMYK').save(tmp_path / 'a.jpg')
    assert read_image(str(tmp_path / 'a.jpg')) == ((64, 48), None, None)
    assert read_image(str(tmp_path / 'b.jpg')) == (None, 'is not there', None)
    assert read_image(str(tmp_path)) == (None, 'is a folder', None)


def write_maps(folder, *values) -> list:
    paths = []
    for index, some in enumerate(values):
        paths.append(str(folder / f'{index}.png'))
        cv2.imwrite(paths[-1], np.resize(np.array(some, np.uint8), (6, 8)))
    return paths


@pytest.mark.parametrize(
    ('values', 'reduced', 'message'),
    [
        ([(0, 1), (0, 1, 2)], False, None),
        ([(0, 1, 2), (3, 255)], True, None),
        ([(1, 2, 3)], True, None),
        ([(0, 255), (0,)], False, r'none of 2 label maps has .* 2 of 3 classes, b, c: .*0, 255 .*255 is no class'),
        ([(0, 1), (2, 1)], True, r'1 of 3 classes, c: .*0, 1, 2 .*set reduce_zero_label=False'),
        ([(1, 2), (1,)], False, r'1 of 3 classes, a: .*if classes count from 1 here, set reduce_zero_label=True'),
        ([(0, 2), (2,)], False, r'1 of 3 classes, b: their values are 0, 2 \(.*0\.png first\)$'),
    ],
)
def test_classes_that_no_label_map_has(tmp_path, values, reduced, message):
    maps, report = LabelMaps('abc', reduce_zero_label=reduced), Report('train_dataloader')
    assert [maps.read(path) for path in write_maps(tmp_path, *values)] == [None] * len(values)
    maps.judge(report, len(values))
    texts = [str(finding) for finding in report.warnings]
    assert texts == [] if message is None else re.search(message, texts[0]), texts


def test_a_sample_of_many_classes_says_nothing(tmp_path):
    (path,) = write_maps(tmp_path, (0, 1))
    for count, total, said in ((150, 2, 0), (150, 1, 1), (3, 2, 1)):
        maps, report = LabelMaps([f'c{i}' for i in range(count)]), Report()
        maps.read(path)
        maps.judge(report, total)
        assert len(report.warnings) == said


def test_pixels_are_counted_as_mmseg_numbers_them(tmp_path):
    (path,) = write_maps(tmp_path, (0, 1, 2, 255))
    maps = LabelMaps('ab', reduce_zero_label=True)
    assert maps.read(path) is None
    assert maps.counts() == {'a': 12, 'b': 12}
    some = LabelMaps('c', label_map={0: 255, 1: 255, 2: 0})
    assert some.read(path) is None
    assert some.counts() == {'c': 12}


def test_label_maps_that_are_wrong(tmp_path):
    (path,) = write_maps(tmp_path, (1, 2, 3))
    text = LabelMaps('abc').read(path)
    assert '0.png has values [3]; valid are 0 to 2' in text and 'set reduce_zero_label=True' in text
    assert 'its image a.jpg is of (height, width) (9, 8)' in LabelMaps('abcd').read(path, (8, 9), 'a.jpg')
    cv2.imwrite(path, np.ones((1, 1), np.uint8))
    assert '0.png is one pixel wide or high' in LabelMaps('abc').read(path, (8, 6), 'a.jpg')
    (tmp_path / '0.png').write_bytes(b'hello')
    assert LabelMaps('abc').read(path) == (
        f'label map {path} is no image: it is of no known format, or broken at its beginning'
    )
    assert LabelMaps('abc').read(str(tmp_path / 'x.png')) == f'label map {tmp_path}/x.png is not there'
