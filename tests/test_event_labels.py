"""Prophesee's box labels as COCO files, and the metric on them against the procedure of their toolbox."""

import contextlib
import io
import json
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.lib import recfunctions
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mmsterf.errors import InvalidInput
from mmsterf.events import EVENT
from mmsterf.events.labels import BOX, DATA_SETS, Labels, Protocol, read_boxes, to_coco

prophesee = pytest.importorskip('evio.formats.prophesee')

ROOT = Path(__file__).parents[1]


def convert(*args):
    sys.argv = ['prophesee_to_coco.py', *map(str, args)]
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / 'tools/dataset_converters/prophesee_to_coco.py'), run_name='__main__')
        sys.exit(0)
    return end.value.code


def made_boxes(rng, moments, size, classes, per=4):
    boxes = np.zeros(len(moments) * per, BOX)
    boxes['t'] = np.repeat(moments, per)
    boxes['w'], boxes['h'] = rng.uniform(5, 120, (2, len(boxes)))
    boxes['x'] = rng.uniform(-10, size[1] - 20, len(boxes))
    boxes['y'] = rng.uniform(-10, size[0] - 20, len(boxes))
    boxes['class_id'] = rng.integers(0, classes, len(boxes))
    boxes['track_id'] = np.arange(len(boxes))
    return boxes


def detections(rng, boxes, size, classes):
    """Boxes near some of the labels, at their time stamps, and others, with scores."""
    near = boxes[rng.random(len(boxes)) < 0.8].copy()
    for name in 'xywh':
        near[name] += rng.normal(0, 3, len(near))
    near['w'], near['h'] = near['w'].clip(1), near['h'].clip(1)
    near['class_id'] = (near['class_id'] + (rng.random(len(near)) < 0.1)) % classes
    found = np.concatenate([near, made_boxes(rng, np.unique(boxes['t']), size, classes, 2)])
    return found, rng.random(len(found)).astype(np.float32)


def reference(truth, found, size, data_set):
    """The toolbox's procedure in short: filters on both, windows of 50 ms around labelled time stamps, COCOeval."""
    rules, categories = data_set.protocol, sorted(data_set.classes)

    def kept(boxes):
        large = (boxes['w'] >= rules.min_side) & (boxes['h'] >= rules.min_side)
        diagonal = np.hypot(boxes['w'].astype(float), boxes['h'].astype(float)) >= rules.min_diagonal
        return large & diagonal & (boxes['t'] > 500_000) & np.isin(boxes['class_id'], categories)

    images, annotations, results = [], [], []
    for boxes, (others, scores) in zip(truth, found):
        boxes, (others, scores) = boxes[kept(boxes)], (others[kept(others)], scores[kept(others)])
        for moment in sorted(set(boxes['t'].tolist())):
            number = len(images) + 1
            images.append(dict(id=number, height=size[0], width=size[1]))
            for box in boxes[boxes['t'] == moment]:
                entry = dict(id=len(annotations) + 1, image_id=number, category_id=int(box['class_id']) + 1)
                entry |= dict(bbox=[float(box[n]) for n in 'xywh'], area=float(box['w']) * float(box['h']), iscrowd=0)
                annotations.append(entry)
            for i in np.flatnonzero(np.abs(others['t'] - moment) <= 50_000):
                entry = dict(image_id=number, category_id=int(others['class_id'][i]) + 1, score=float(scores[i]))
                results.append(entry | dict(bbox=[float(others[n][i]) for n in 'xywh']))
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = dict(images=images, annotations=annotations, categories=[dict(id=i + 1) for i in categories])
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats


# 1 Mpx: labels every 1/60 s, so that a detection counts for six other time stamps.
@pytest.mark.parametrize('name, distance', [('gen1', 250_000), ('gen1', 50_000), ('1mpx', 16_667)])
def test_the_metric_is_the_toolboxs(name, distance, tmp_path, monkeypatch):
    from mmdet.evaluation.metrics import coco_metric

    from mmsterf.datasets.event_coco import EventCocoMetric

    data_set, rng = DATA_SETS[name], np.random.default_rng(0)
    size, classes = data_set.sensor, len(data_set.classes)
    (tmp_path / 'val').mkdir()
    truth, found = [], []
    for i in range(3):
        # Numbers of classes that are not evaluated, too.
        truth.append(made_boxes(rng, 450_000 + distance * np.arange(12 + i), size, classes + 1))
        found.append(detections(rng, truth[-1], size, classes))
        older = recfunctions.rename_fields(truth[-1], {'t': 'ts'}) if i else truth[-1]
        np.save(tmp_path / f'val/{i}_bbox.npy', older)
        events = np.zeros(2, EVENT)
        events['t'] = 0, 5_000_000
        prophesee.write(tmp_path / f'val/{i}_td.dat', events, size[1], size[0])
    assert convert(tmp_path, '--dataset', name) == 0
    file = tmp_path / 'annotations/val.json'
    metric = EventCocoMetric(str(file))
    metric.dataset_meta = dict(classes=tuple(data_set.classes.values()))
    images = json.loads(file.read_text())['images']
    assert len(images) > 20 and {(image['height'], image['width']) for image in images} == {size}
    for image in images:
        boxes, scores = found[int(image['file_name'][0])]
        now = boxes['t'] == image['event_end']
        x, y, w, h = (boxes[n][now] for n in 'xywh')
        corners = np.stack([x, y, x + w, y + h], 1)
        result = dict(img_id=image['id'], bboxes=corners, scores=scores[now], labels=boxes['class_id'][now])
        metric.results.append((dict(img_id=image['id'], width=size[1], height=size[0]), result))
    stats = []

    class Recording(coco_metric.COCOeval):
        def summarize(self):
            super().summarize()
            stats.append(self.stats)

    monkeypatch.setattr(coco_metric, 'COCOeval', Recording)
    said = metric.evaluate(len(images))
    # A detector is asked at the time stamps that are evaluated, and at no others.
    ends = [{i['event_end'] for i in images if i['file_name'][0] == str(n)} for n in range(3)]
    stamped = [(b[np.isin(b['t'], sorted(e))], s[np.isin(b['t'], sorted(e))]) for (b, s), e in zip(found, ends)]
    expected = reference(truth, stamped, size, data_set)
    assert 0.05 < expected[0] < 0.9
    assert np.abs(stats[0] - expected).max() < 1e-6
    assert said['coco/bbox_mAP'] == round(expected[0], 3) and said['coco/bbox_mAP_50'] == round(expected[1], 3)


def labels(boxes, span=(0, 10_000_000)):
    return Labels('a_td.dat', (240, 304), np.array(boxes, BOX), span)


def test_rules_and_counts():
    entries = [
        (500_000, 0, 0, 50, 50, 0, 1),  # not after 0.5 s
        (500_001, 0, 0, 50, 50, 0, 1),
        (600_000, 0, 0, 9, 50, 0, 1),  # side
        (600_000, 0, 0, 10, 29, 1, 2),
        (600_000, 0, 0, 10, 28, 1, 3),  # diagonal 29.7
        (700_000, 1, 2, 18, 24, 1, 4),  # diagonal 30
        (700_000, 0, 0, 50, 50, 5, 5),  # class
        (9_000_001, 0, 0, 50, 50, 0, 6),  # 50 ms behind the last event
        (9_050_001, 0, 0, 50, 50, 0, 6),
    ]
    rules = DATA_SETS['gen1'].protocol
    content, counts = to_coco([labels(entries, (0, 9_000_000))], {0: 'car', 1: 'pedestrian'}, rules)
    assert [image['event_end'] for image in content['images']] == [500_001, 600_000, 700_000, 9_000_001]
    boxes = [(a['image_id'], a['category_id'], a['bbox'], a['area'], a['track_id']) for a in content['annotations']]
    assert boxes[1:3] == [(2, 2, [0, 0, 10, 29], 290, 2), (3, 2, [1, 2, 18, 24], 432, 4)]
    left = {name: counts[name] for name in ('early', 'small', 'class', 'outside', 'images', 'boxes')}
    assert left == dict(early=1, small=2, outside=1, images=4, boxes=4) | {'class': 1}
    assert content['info']['protocol'] == dict(skip=500_000, min_diagonal=30, min_side=10, tolerance=50_000)
    everything, counts = to_coco([labels(entries)], {0: 'car', 1: 'pedestrian', 5: 'bus'})
    assert counts['boxes'] == len(entries) and 'protocol' not in everything['info']
    assert [c['name'] for c in everything['categories']] == ['car', 'pedestrian', 'bus']
    # At most one time stamp in 150 ms.
    thinned, counts = to_coco([labels(entries, (0, 9_000_000))], {0: 'car', 1: 'pedestrian'}, rules, 150_000)
    assert [image['event_end'] for image in thinned['images']] == [500_001, 700_000, 9_000_001]
    assert counts['spacing'] == 1


def test_label_files_that_are_refused(tmp_path):
    whole = made_boxes(np.random.default_rng(0), np.array([600_000]), (240, 304), 2)

    def bad(name, array):
        np.save(tmp_path / name, array)
        return tmp_path / name

    cases = [
        (bad('few.npy', recfunctions.repack_fields(whole[['t', 'x', 'y', 'w', 'h']])), 'it has t, x, y, w, h$'),
        (bad('plain.npy', np.zeros((3, 8))), r'it has none \(an array of float64 and shape \(3, 8\)\)'),
        (bad('text.npy', recfunctions.append_fields(whole[['t', 'x', 'y', 'w', 'h']], 'class_id', ['a'] * 4,
                                                    usemask=False)), 'class_id is <U1, and must be numbers'),
        (bad('objects.npy', np.array([{}], dtype=object)), 'no array that can be read'),
    ]  # fmt: skip
    for name, value, message in (('w', -1, 'w -1, h'), ('x', np.nan, r'1 of 4 boxes are none, number 2 first \(x nan')):
        array = whole.copy()
        array[name][2] = value
        cases.append((bad(f'{name}.npy', array), message))
    (tmp_path / 'cut.npy').write_bytes((tmp_path / 'x.npy').read_bytes()[:-20])
    cases.append((tmp_path / 'cut.npy', 'no array that can be read'))
    for path, message in cases:
        with pytest.raises(InvalidInput, match=message) as error:
            read_boxes(str(path))
        assert str(path) in str(error.value) and '\n' not in str(error.value)


def test_folders_that_are_refused(tmp_path):
    events = np.zeros(2, EVENT)
    events['t'] = 0, 900_000

    def split(name, boxes=None, recording=True):
        (tmp_path / name / 'test').mkdir(parents=True)
        if boxes is not None:
            np.save(tmp_path / name / 'test/a_bbox.npy', np.array(boxes, BOX))
        if recording:
            prophesee.write(tmp_path / name / 'test/a_td.dat', events, 304, 240)
        return tmp_path / name

    good = (600_000, 0, 0, 50, 50, 0, 1)
    assert convert(split('good', [good])) == 0
    for args, message in (
        ([split('alone', [good], recording=False)], 'a_bbox.npy: has no recording beside it: a_td.dat'),
        ([split('none')], r'test: holds no \*_bbox.npy'),
        ([split('empty', [])], 'no boxes are left: 0 time stamps, 0 boxes'),
        ([split('other', [(600_000, 0, 0, 50, 50, 7, 1)])], 'left out: 1 of other classes'),
        ([split('late', [(2_000_000, 0, 0, 50, 50, 0, 1)])], '1 before or after the events of their recordings'),
        ([tmp_path], 'has no folder train nor val nor test'),
        ([tmp_path / 'good', '--splits', 'train'], 'has no folder train'),
        ([tmp_path / 'good'], r'test.json: exists already'),
    ):
        code = convert(*args)
        assert str(code).startswith('error: ') and message.replace(r'\*', '*') in str(code), code
    assert convert(tmp_path / 'good', '--force', '--classes', 'square', '--min-side', '0', '--min-diagonal', '0') == 0
    content = json.loads((tmp_path / 'good/annotations/test.json').read_text())
    assert [c['name'] for c in content['categories']] == ['square']
    assert content['info']['protocol'] == Protocol(min_side=0, min_diagonal=0)._asdict()
