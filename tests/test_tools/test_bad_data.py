"""tools/train.py on bad data: one line, exit status 1, and never a traceback."""

import json
import re

import cv2
import numpy as np
import pytest
from tiny_tasks import run_tool, write_task


def refused(config, folder, *options) -> str:
    arguments = ['--cfg-options', *options] if options else []
    printed = run_tool('train', config, '--work-dir', folder / 'out', *arguments, folder=folder, expect=1)
    assert 'Traceback' not in printed
    return printed.strip().splitlines()[-1]


def picture(size=(48, 64)) -> bytes:
    return cv2.imencode('.jpg', np.random.default_rng(0).integers(0, 255, (*size, 3), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (picture()[:1500], 'is a JPEG file that cannot be decoded: it is truncated or damaged'),
        (b'some text', 'is no image'),
        (picture((64, 48)), 'is of 48 x 64, but its annotations say width 64 and height 48: .* stored turned'),
    ],
    ids=['truncated', 'text', 'turned'],
)
def test_images_that_training_meets(tmp_path, content, message):
    config = write_task(tmp_path, 'detection')
    for file in (tmp_path / 'data/images').iterdir():
        file.write_bytes(content)
    line = refused(config, tmp_path)
    assert line.startswith(f'error: image {tmp_path}/data/images/')
    assert re.search(message, line), line


def test_label_maps_that_training_meets(tmp_path):
    config = write_task(tmp_path, 'segmentation')
    for file in (tmp_path / 'data/labels').iterdir():
        file.write_bytes(file.read_bytes()[:60])
    line = refused(config, tmp_path)
    assert line.startswith(f'error: label map {tmp_path}/data/labels/') and 'truncated or damaged' in line


def test_annotations_classes_and_heads_before_a_model_trains(tmp_path):
    config = write_task(tmp_path, 'detection')
    line = refused(config, tmp_path, 'val_dataloader.dataset.metainfo.classes=("light","drak")')
    assert line.startswith("error: val_dataloader: metainfo.classes has 'drak'") and "did you mean 'dark'?" in line
    line = refused(config, tmp_path, 'test_dataloader.dataset.metainfo.classes=("light",)')
    assert 'roi_head.bbox_head.num_classes is 2, but the data set of test_dataloader has 1 classes (light)' in line
    file = tmp_path / 'data/instances.json'
    data = json.loads(file.read_text())
    data['annotations'][3]['bbox'][1] = float('nan')
    file.write_text(json.dumps(data))
    assert 'annotations[3] (id 4) has the bbox' in refused(config, tmp_path)
    file.write_text(json.dumps(data)[:-30])
    assert 'is no JSON' in refused(config, tmp_path)
    (tmp_path / 'data/images/3.jpg').unlink()
    data['annotations'][3]['bbox'][1] = 0
    file.write_text(json.dumps(data))
    assert f'image {tmp_path}/data/images/3.jpg is not there' in refused(config, tmp_path)
    assert not list(tmp_path.rglob('*.pth'))


@pytest.mark.parametrize('task', ['detection', 'segmentation'])
def test_check_data_tells_what_is_there_and_what_is_wrong(tmp_path, task):
    config = write_task(tmp_path, task)
    printed = run_tool('misc/check_data', config, folder=tmp_path)
    assert printed.count(' 8 images\n') == 3 and 'wrong:' not in printed and 'WARNING' not in printed
    assert '64 x 48 (8)' in printed and re.search(r'light \d+, dark \d+', printed)
    (tmp_path / 'data/images/3.jpg').write_bytes(picture()[:1500])
    printed = run_tool('misc/check_data', config, '--split', 'train', folder=tmp_path, expect=1)
    line = printed.strip().splitlines()[-1]
    assert line.startswith(f'error: {config}: one kind of error') and 'images/3.jpg is a JPEG file that cannot' in line
    printed = run_tool('train', config, '--check-data', '--work-dir', tmp_path / 'out', folder=tmp_path, expect=1)
    assert printed.strip().splitlines()[-1].startswith(f'error: train_dataloader: image {tmp_path}/data/images/3.jpg')
    assert not list(tmp_path.rglob('*.pth'))
