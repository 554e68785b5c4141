"""The digit scenes: what the tool writes, read back by OpenMMLab's own data sets."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as rle
from pycocotools.coco import COCO

from mmsterf.datasets.digit_scans import load_scans, split_scans
from mmsterf.datasets.digit_scenes import make_scene
from mmsterf.datasets.scene_settings import CLASSES, MARKS, SceneSettings

ROOT = Path(__file__).parents[2]
TOOL = ROOT / 'tools' / 'dataset_converters' / 'make_digit_scenes.py'
TINY = ('--train', '8', '--val', '4', '--size', '96', '128', '--scale', '24', '64')
SPLITS = (('train', 'training', 8), ('val', 'validation', 4))


def command(*arguments):
    environment = {'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    return {'args': [sys.executable, str(TOOL), *map(str, arguments)], 'env': {**os.environ, **environment}}


def run(*arguments):
    return subprocess.run(**command(*arguments), capture_output=True, text=True, timeout=120)


def digests(folder):
    files = sorted(file for file in folder.rglob('*') if file.is_file())
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    out = tmp_path_factory.mktemp('data') / 'scenes'
    done = run('--out', out, *TINY, '--preview', out.parent / 'preview.png')
    assert done.returncode == 0, done.stderr
    assert '8 + 4 digit scenes' in done.stdout
    assert '12/12' in done.stderr, 'progress is shown'
    return out


def instance_maps(out, split):
    """For each image: its record, its annotations and their masks, from the COCO file alone."""
    data = json.loads((out / 'coco' / 'annotations' / f'instances_{split}2017.json').read_text())
    for image in data['images']:
        annotations = [a for a in data['annotations'] if a['image_id'] == image['id']]
        masks = [rle.decode(a['segmentation']) for a in annotations]
        yield image, annotations, masks


def test_layout(scenes):
    assert (scenes.parent / 'preview.png').stat().st_size > 10_000
    for split, ade_split, count in SPLITS:
        names = {f'{number:012d}' for number in range(1, count + 1)}
        for place in (f'coco/{split}2017/*.jpg', f'ade/images/{ade_split}/*.jpg', f'ade/annotations/{ade_split}/*.png'):
            assert {file.stem for file in scenes.glob(place)} == names
        for name in names:
            picture, same = scenes / f'coco/{split}2017/{name}.jpg', scenes / f'ade/images/{ade_split}/{name}.jpg'
            assert picture.samefile(same) or picture.read_bytes() == same.read_bytes()
            assert cv2.imread(str(picture)).shape == (96, 128, 3)
    pictures = [digest for name, digest in digests(scenes / 'coco').items() if name.endswith('.jpg')]
    assert len(set(pictures)) == 12, 'no scene is there twice'


@pytest.mark.parametrize('split, ade_split', [('train', 'training'), ('val', 'validation')])
def test_masks_are_exact(scenes, split, ade_split):
    identifiers = []
    for image, annotations, masks in instance_maps(scenes, split):
        labels = cv2.imread(str(scenes / f'ade/annotations/{ade_split}' / f'{image["id"]:012d}.png'), -1)
        assert labels.dtype == np.uint8 and labels.shape == (image['height'], image['width'])
        assert 1 <= len(annotations) <= 6
        assert np.sum(masks, 0).max() == 1, 'a pixel belongs to one digit'
        expected = np.ones_like(labels)
        for annotation, mask in zip(annotations, masks):
            expected[mask > 0] = annotation['category_id'] + 1
            y, x = np.nonzero(mask)
            assert annotation['bbox'] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]
            assert annotation['area'] == mask.sum() >= 30
            assert annotation['iscrowd'] == 0
            identifiers.append(annotation['id'])
        np.testing.assert_array_equal(labels, expected)
    assert len(set(identifiers)) == len(identifiers)


def test_masks_lie_on_the_digits(scenes):
    """Just inside and just outside its outline, a digit is told from what is around it by its colour."""
    contrast = []
    for image, _, masks in instance_maps(scenes, 'train'):
        picture = cv2.imread(str(scenes / 'coco/train2017' / image['file_name'])).astype(float)
        everything = np.sum(masks, 0).astype(np.uint8)
        ring = (cv2.dilate(everything, np.ones((7, 7))) - cv2.dilate(everything, np.ones((3, 3)))) > 0
        for mask in masks:
            around = ring & (cv2.dilate(mask, np.ones((7, 7))) > 0)
            core = cv2.erode(mask, np.ones((3, 3))) > 0
            if around.any() and core.any():
                contrast.append(np.abs(picture[core].mean(0) - picture[around].mean(0)).max())
                assert picture[core].std(0).max() < 60, 'one colour, some light and grain'
    assert np.min(contrast) > 20 and len(contrast) > 10


def test_train_and_val_share_no_scan(scenes):
    _, labels = load_scans()
    for split, _, _ in SPLITS:
        annotations = [a for _, found, _ in instance_maps(scenes, split) for a in found]
        assert {a['scan'] for a in annotations} <= set(split_scans(labels, split).tolist())
        assert all(labels[a['scan']] == a['category_id'] - 1 for a in annotations)
    train, val = (split_scans(labels, split) for split in ('train', 'val'))
    assert sorted([*train, *val]) == list(range(len(labels))), 'each scan is in one split'
    share = np.bincount(labels[val]) / np.bincount(labels)
    assert len(share) == 10 and np.all(np.abs(share - 0.2) < 0.005)
    with pytest.raises(ValueError, match=r"'test'.*train, val"):
        split_scans(labels, 'test')


def test_same_seed_same_bytes(scenes, tmp_path):
    assert run('--out', tmp_path / 'again', *TINY).returncode == 0
    assert digests(tmp_path / 'again') == digests(scenes)


def test_scene_depends_on_its_number_alone(scenes):
    settings = SceneSettings(size=(96, 128), scale=(24, 64))
    scene = make_scene('val', 0, 3, settings)  # the fourth, made first
    image, annotations, masks = list(instance_maps(scenes, 'val'))[3]
    assert tuple(a['scan'] for a in annotations) == scene.scans
    np.testing.assert_array_equal(np.tensordot(range(1, len(masks) + 1), masks, 1), scene.instances)
    written = cv2.imread(str(scenes / 'coco/val2017' / image['file_name'])).astype(float)
    assert np.abs(written - scene.image).mean() < 6, 'but for JPEG'


def test_later_digits_hide_earlier_ones():
    """Crowded scenes overlap, yet of each digit enough is seen."""
    crowded = SceneSettings(size=(64, 64), digits=(8, 8), scale=(32, 48))
    touching = 0
    for index in range(5):
        scene = make_scene('train', 0, index, crowded)
        assert 1 <= len(scene.labels) <= 8
        areas = np.bincount(scene.instances.ravel(), minlength=len(scene.labels) + 1)[1:]
        assert len(areas) == len(scene.labels) and areas.min() >= 30
        ids = scene.instances.astype(int)
        touching += np.count_nonzero((ids[:, 1:] != ids[:, :-1]) & (ids[:, 1:] > 0) & (ids[:, :-1] > 0))
    assert touching > 50


def test_mmdet_trains_on_it(scenes):
    from mmcv.transforms import LoadImageFromFile
    from mmdet.datasets import CocoDataset
    from mmdet.datasets.transforms import LoadAnnotations, PackDetInputs

    data = CocoDataset(
        data_root=str(scenes / 'coco'),
        ann_file='annotations/instances_train2017.json',
        data_prefix={'img': 'train2017/'},
        metainfo={'classes': CLASSES},
        filter_cfg={'filter_empty_gt': True, 'min_size': 32},
        pipeline=[LoadImageFromFile(), LoadAnnotations(with_bbox=True, with_mask=True), PackDetInputs()],
    )
    assert len(data) == 8
    for item, (image, annotations, masks) in zip(data, instance_maps(scenes, 'train')):
        assert item['data_samples'].img_id == image['id']
        truth = item['data_samples'].gt_instances
        np.testing.assert_array_equal(truth.masks.masks, masks)
        assert truth.labels.tolist() == [a['category_id'] - 1 for a in annotations]
        boxes = np.array([a['bbox'] for a in annotations])
        np.testing.assert_array_equal(truth.bboxes.tensor, np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]))
        assert len(item['data_samples'].ignored_instances) == 0


def test_mmdet_evaluates_on_it(scenes):
    """The truth, given as predictions, is worth an AP of 1; with wrong classes next to nothing."""
    import torch
    from mmdet.evaluation import CocoMetric

    file = scenes / 'coco' / 'annotations' / 'instances_val2017.json'
    names = COCO(str(file)).cats
    assert [names[number]['name'] for number in range(1, 11)] == list(CLASSES)
    for shift in (0, 1):
        metric = CocoMetric(str(file), metric=['bbox', 'segm'])
        metric.dataset_meta = {'classes': CLASSES}
        for image, annotations, masks in instance_maps(scenes, 'val'):
            boxes = torch.tensor([a['bbox'] for a in annotations])
            boxes[:, 2:] += boxes[:, :2]
            labels = torch.tensor([(a['category_id'] - 1 + shift) % 10 for a in annotations])
            predicted = {'bboxes': boxes, 'labels': labels, 'scores': torch.ones(len(labels))}
            predicted['masks'] = torch.tensor(np.array(masks))
            size = (image['height'], image['width'])
            metric.process({}, [{'img_id': image['id'], 'ori_shape': size, 'pred_instances': predicted}])
        result = metric.evaluate(4)
        for kind in ('bbox', 'segm'):
            assert (result[f'coco/{kind}_mAP'] == 1) if shift == 0 else (result[f'coco/{kind}_mAP'] < 0.2)


@pytest.mark.parametrize('kind', ['ADE20KDataset', 'BaseSegDataset'])
def test_mmseg_reads_it(scenes, kind):
    """As ADE20K, and with the names of the eleven classes (which ADE20KDataset does not let one give)."""
    import mmseg.datasets

    names = {'metainfo': {'classes': ('background', *CLASSES)}} if kind == 'BaseSegDataset' else {}
    data = getattr(mmseg.datasets, kind)(
        data_root=str(scenes / 'ade'),
        data_prefix={'img_path': 'images/validation', 'seg_map_path': 'annotations/validation'},
        img_suffix='.jpg',
        seg_map_suffix='.png',
        reduce_zero_label=True,
        pipeline=[],
        **names,
    )
    load = mmseg.datasets.LoadAnnotations()  # it goes by what the data set says of the zero label
    assert len(data) == 4
    for index, (image, annotations, masks) in enumerate(instance_maps(scenes, 'val')):
        info = data.get_data_info(index)
        assert Path(info['img_path']).name == image['file_name'] and Path(info['img_path']).is_file()
        expected = np.zeros_like(masks[0])
        for annotation, mask in zip(annotations, masks):
            expected[mask > 0] = 1 + int(CLASSES[annotation['category_id'] - 1])
        np.testing.assert_array_equal(load(info)['gt_seg_map'], expected)


def test_existing_output(scenes, tmp_path):
    out = tmp_path / 'scenes'
    shutil.copytree(scenes, out)
    stamp = (out / 'meta.json').stat().st_mtime_ns

    again = run('--out', out, *TINY)
    assert again.returncode == 0 and 'there already' in again.stdout
    refused = run('--out', out, *TINY, '--seed', 7, '--digits', 1, 2)
    assert refused.returncode == 1
    assert 'made with digits 2 6, seed 0, but digits 1 2, seed 7' in refused.stderr and '--force' in refused.stderr
    assert (out / 'meta.json').stat().st_mtime_ns == stamp and digests(out) == digests(scenes)

    forced = run('--out', out, *TINY, '--seed', 7, '--force')
    assert forced.returncode == 0, forced.stderr
    other, first = digests(out), digests(scenes)
    assert other.keys() == first.keys()
    assert all(other[name] != first[name] for name in first), 'another seed, other scenes'
    assert os.listdir(tmp_path) == ['scenes']


def test_never_replaces_what_it_did_not_make(tmp_path):
    (tmp_path / 'precious').mkdir()
    (tmp_path / 'precious' / 'file').write_text('kept')
    refused = run('--out', tmp_path / 'precious', *TINY, '--force')
    assert refused.returncode == 1 and 'not made by this tool' in refused.stderr
    assert os.listdir(tmp_path / 'precious') == ['file']


@pytest.mark.parametrize('how', [signal.SIGTERM, signal.SIGKILL])
def test_killed_run_leaves_nothing_half_made(how, tmp_path):
    process = subprocess.Popen(**command('--out', tmp_path / 'scenes', '--train', 5000), stdout=-3, stderr=-3)
    deadline = time.time() + 30
    while not list(tmp_path.glob('.scenes.partial-*/new/coco/train2017/000000000003.jpg')):
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.02)
    process.send_signal(how)
    assert process.wait(30) != 0
    assert not (tmp_path / 'scenes').exists()
    if how != signal.SIGKILL:
        assert os.listdir(tmp_path) == [], 'it tidied up'
        return
    (left,) = tmp_path.iterdir()
    os.utime(left, (0, 0))  # as if long ago
    assert run('--out', tmp_path / 'scenes', *TINY).returncode == 0
    assert os.listdir(tmp_path) == ['scenes']


@pytest.mark.parametrize(
    'arguments, said',
    [
        (('--train', '0'), 'argument --train: must be at least 1, got 0'),
        (('--seed', '-1'), 'argument --seed: must be at least 0, got -1'),
        (('--size', '20', '160'), '--size is 20 160: height and width must be within 32..4096'),
        (('--digits', '5', '2'), '--digits is 5 2: must be MIN MAX with 1 <= MIN <= MAX'),
        (('--scale', '24', '200'), '--scale is 24 200: must be MIN MAX with 16 <= MIN <= MAX <= 160'),
        (('--rotate', '-5'), '--rotate is -5: must be within 0..180 degrees'),
        (('--distance', '40'), '--distance is 40: only --task far has one'),
        (('--direction', 'rows'), "--direction is 'rows': only --task far has one"),
        (('--task', 'far', '--one-class'), '--one-class is set: classes of --task far are those of the marks'),
        (('--mark-radius', '9'), '--mark-radius is 9: only --task far has marks'),
        (('--task', 'far', '--digits', '2', '3'), '--digits is 2 3: must be 1 1 with --task far'),
        (('--task', 'cls', '--digits', '2', '3'), '--digits is 2 3: must be 1 1 with --task cls'),
        (('--task', 'cls', '--one-class'), '--one-class is set: classes of --task cls are the ten digits'),
        (('--task', 'cls', '--distance', '40'), '--distance is 40: only --task far has one'),
        (
            ('--task', 'far', '--size', '96', '96', '--scale', '24', '36', '--distance', '90'),
            '--distance is 90: must be within 32..63 pixels with a size of 96 96, digits of up to 36 pixels and a mark '
            'of radius 6',
        ),
        (('--preview', 'sheet.txt'), '--preview is sheet.txt: must end in .png or .jpg'),
    ],
)
def test_bad_values_are_named(arguments, said, tmp_path):
    done = run('--out', tmp_path / 'scenes', *arguments)
    assert done.returncode == 2 and said in done.stderr
    assert os.listdir(tmp_path) == []


def test_missing_scikit_learn_is_said(tmp_path, monkeypatch):
    (tmp_path / 'sitecustomize.py').write_text('import sys\nsys.modules["sklearn"] = None\n')
    arguments = command('--out', tmp_path / 'scenes', *TINY)
    arguments['env']['PYTHONPATH'] += os.pathsep + str(tmp_path)
    done = subprocess.run(**arguments, capture_output=True, text=True)
    assert done.returncode == 1 and 'pip install scikit-learn' in done.stderr and 'Traceback' not in done.stderr
    assert os.listdir(tmp_path) == ['sitecustomize.py']


def test_pictures_of_one_digit(tmp_path):
    """Folders of classes; a picture is the scene of its number, of scans of its part; once more, the same bytes."""
    out, arguments = tmp_path / 'digits', ('--task', 'cls', '--train', '12', '--val', '5')
    assert (done := run('--out', out, *arguments, '--preview', tmp_path / 'one.png')).returncode == 0, done.stderr
    settings = SceneSettings((40, 40), (1, 1), (24, 38), task='cls')
    for split, count in (('train', 12), ('val', 5)):
        assert sorted(folder.name for folder in (out / 'cls' / split).iterdir()) == list(CLASSES)
        files = sorted((out / 'cls' / split).glob('*/*.jpg'), key=lambda file: file.name)
        assert [int(file.stem) for file in files] == list(range(1, count + 1))
        for index, file in enumerate(files):
            scene = make_scene(split, 0, index, settings)
            assert file.parent.name == CLASSES[scene.labels[0]] == CLASSES[load_scans()[1][scene.scans[0]]]
            assert scene.scans[0] in split_scans(load_scans()[1], split) and len(scene.scans) == 1
            as_written = cv2.imencode('.jpg', scene.image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
            assert file.read_bytes() == as_written.tobytes()
    assert cv2.imread(str(tmp_path / 'one.png')).shape == (2 * 160, 6 * 160, 3)
    before = digests(out)
    assert 'already' in run('--out', out, *arguments).stdout and digests(out) == before
    assert run('--out', tmp_path / 'again', *arguments).returncode == 0
    assert digests(tmp_path / 'again') == before


def test_training_pictures_of_one_digit_are_clearer_than_scenes():
    """They are mixtures of the picture that a scene would be and of light strokes on a dark ground."""
    shares = []
    for index in range(40):
        own, scene = (make_scene('train', 0, index, SceneSettings((40, 40), (1, 1), (24, 38), task=task))
                      for task in ('cls', 'digits'))  # fmt: skip
        assert np.array_equal(own.instances, scene.instances)
        inside, outside = own.instances > 0, own.instances == 0
        contrast = [image[inside].mean() - image[outside].mean() for image in (own.image.astype(float), scene.image)]
        shares.append((contrast[0] - contrast[1]) / (205 - contrast[1]))
    assert np.quantile(shares, 0.15) < 0.3 and 0.35 < np.mean(shares) < 0.65 and np.quantile(shares, 0.85) > 0.7
    validation = [make_scene('val', 0, 3, SceneSettings((40, 40), (1, 1), (24, 38), task=t)) for t in ('cls', 'digits')]
    assert np.array_equal(validation[0].image, validation[1].image)


FAR = SceneSettings((96, 128), (1, 1), (24, 32), task='far', distance=50)
FAR_ARGUMENTS = ('--task', 'far', '--distance', '50', '--size', '96', '128', '--scale', '24', '32')


def test_far_labels_are_those_of_the_mark():
    """Of every scene: the disc at `mark` has the colour of the label, at the distance, and no digit lies on it."""
    for index in range(60):
        scene = make_scene('train', 0, index, FAR)
        rows, columns = np.nonzero(scene.instances)
        middle = np.array([rows.min() + rows.max() + 1, columns.min() + columns.max() + 1]) / 2
        away = np.abs(np.array(scene.mark) - middle)
        assert abs(away.max() - 50) <= 8 and away.min() <= 8, 'in the rows or columns of the digit'
        row, column = scene.mark
        patch = scene.image[row - 3 : row + 4, column - 3 : column + 4].reshape(-1, 3).mean(0)
        colours = np.array(list(MARKS.values()))
        assert np.square(colours - patch).sum(1).argmin() == scene.labels[0]
        assert not scene.instances[row - 6 : row + 7, column - 6 : column + 7].any()
        assert scene.instances.max() == 1 and len(scene.labels) == len(scene.scans) == 1


def test_plain_grounds():
    """Only light and grain vary on a plain ground; digits and labels are those of the textured scene."""
    for index in range(10):
        plain, textured = (make_scene('train', 0, index, SceneSettings(plain=plain)) for plain in (True, False))
        assert np.array_equal(plain.instances, textured.instances) and plain.labels == textured.labels
        spread = [scene.image[scene.instances == 0].std(0).mean() for scene in (plain, textured)]
        assert spread[0] < min(spread[1], 10)


def test_one_class(tmp_path):
    """The scenes are the same; all digits are of the one category."""
    one, ten = (make_scene('train', 0, 3, SceneSettings(one_class=one)) for one in (True, False))
    assert np.array_equal(one.image, ten.image) and one.scans == ten.scans
    assert set(one.labels) == {0} and len(set(ten.labels)) > 1
    assert (done := run('--out', tmp_path / 'scenes', *TINY, '--one-class')).returncode == 0, done.stderr
    data = json.loads((tmp_path / 'scenes/coco/annotations/instances_val2017.json').read_text())
    assert [category['name'] for category in data['categories']] == ['digit']
    assert {annotation['category_id'] for annotation in data['annotations']} == {1}


def test_marks_lie_in_the_direction_asked_for():
    """In the rows alone or the columns alone; with both, about half each."""

    def shares(direction):
        settings = SceneSettings((96, 128), (1, 1), (24, 32), task='far', distance=50, direction=direction)
        away = []
        for index in range(60):
            scene = make_scene('train', 0, index, settings)
            strokes = np.argwhere(scene.instances)
            away.append(np.abs(np.array(scene.mark) - (strokes.min(0) + strokes.max(0)) / 2))
        return np.mean([down < along for down, along in away])

    assert (shares('rows'), shares('columns')) == (1, 0) and 0.25 < shares('both') < 0.75


def test_mark_radius():
    """A disc of radius r is 2 r + 1 pixels wide; it is where the small one is."""
    wide = SceneSettings((96, 128), (1, 1), (24, 32), task='far', distance=50, mark_radius=10)
    for index in range(20):
        scene = make_scene('train', 0, index, wide)
        strong = np.ptp(scene.image.astype(int), axis=-1) > 120  # all but the mark is grey
        rows, columns = np.nonzero(strong)
        assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == (21, 21)
        assert (rows.min() + 10, columns.min() + 10) == scene.mark


def test_far_labels_cannot_be_told_without_the_mark():
    """Over 2000 scenes: classes are balanced, also given what the digit reads, where it is, which way its mark lies."""
    rng_scenes = [
        make_scene('train', 3, index, SceneSettings((64, 64), (1, 1), (16, 16), task='far', distance=30))
        for index in range(2000)
    ]
    labels = np.array([scene.labels[0] for scene in rng_scenes])
    reads = load_scans()[1][[scene.scans[0] for scene in rng_scenes]]
    rows = np.array([np.nonzero(scene.instances)[0].mean() for scene in rng_scenes]) > 32
    columns = np.array([np.nonzero(scene.instances)[1].mean() for scene in rng_scenes]) > 32
    mark = np.array([scene.mark for scene in rng_scenes]) > 32
    known = [
        np.ones(2000, bool),
        rows,
        ~rows,
        columns,
        ~columns,
        mark[:, 0],
        ~mark[:, 1],
        *(reads == d for d in range(10)),
    ]
    for part in known:
        deviations = (labels[part].mean() - 0.5) * 2 * part.sum() ** 0.5
        assert part.sum() > 100 and abs(deviations) < 3.5


def test_far_scenes_in_both_layouts(tmp_path):
    out = tmp_path / 'far'
    arguments = (*FAR_ARGUMENTS, '--train', '6', '--val', '3')
    assert (done := run('--out', out, *arguments, '--preview', tmp_path / 'far.png')).returncode == 0, done.stderr
    for split, ade_split, count in (('train', 'training', 6), ('val', 'validation', 3)):
        data = json.loads((out / 'coco' / 'annotations' / f'instances_{split}2017.json').read_text())
        assert [category['name'] for category in data['categories']] == ['red', 'blue']
        for number, (image, annotations, (mask,)) in enumerate(instance_maps(out, split)):
            scene = make_scene(split, 0, number, FAR)
            assert annotations[0]['category_id'] == scene.labels[0] + 1
            assert annotations[0]['mark'] == list(scene.mark)
            assert np.array_equal(mask, scene.instances)
            labels = cv2.imread(
                str(out / 'ade/annotations' / ade_split / f'{image["id"]:012d}.png'), cv2.IMREAD_UNCHANGED
            )
            assert np.array_equal(labels, 1 + (scene.labels[0] + 1) * scene.instances)
        assert len(data['images']) == count
    before = digests(out)
    assert 'already' in run('--out', out, *arguments).stdout and digests(out) == before
    assert run('--out', tmp_path / 'again', *arguments).returncode == 0
    assert digests(tmp_path / 'again') == before
    done = run('--out', out, *arguments[2:], '--task', 'far', '--distance', '51')
    assert done.returncode == 1 and 'distance 50' in done.stderr and 'distance 51' in done.stderr
