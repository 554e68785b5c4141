"""tools/demo.py on a few scenes: it makes them, trains, evaluates before and after, and draws."""

import json

import cv2
import pytest
from tiny_tasks import run_script

from mmsterf.versions import missing_for_pretraining

ARGUMENTS = ('--data', 'scenes', '--train', '16', '--val', '6', '--length', '1', '--work-dir', 'results')
PRETRAIN = ('--pretrain', '--pictures', 'digits', '--train-pictures', '40')


@pytest.mark.parametrize(
    ('task', 'line', 'metric', 'pictures'),
    [
        ('det', 'box AP ', 'coco/segm_mAP_50', {'curves.png', 'predictions.png', 'st_erf.png'}),
        ('seg', 'mIoU ', 'mIoU', {'curves.png', 'predictions.png'}),
    ],
)
def test_demo(tmp_path, task, line, metric, pictures):
    pretrained = task == 'seg' and not missing_for_pretraining()
    done = run_script('demo.py', '--task', task, *ARGUMENTS, *(PRETRAIN if pretrained else ()), cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]
    digits, before, after = done.stdout.splitlines()[-3:]
    assert ('of single digits told right' in digits) == pretrained
    assert ('loaded all ' in done.stdout) == pretrained, 'the backbone starts from the pretrained one'
    assert before.startswith(f'before training: {line}') and after.startswith(f' after training: {line}')
    metrics = json.loads((tmp_path / 'results/metrics.json').read_text())
    assert set(metrics) == {'before', 'after', *(['pretraining'] if pretrained else [])}
    assert 0 <= metrics['after'][metric] <= 100
    assert {path.name for path in (tmp_path / 'results').glob('*.png')} == pictures
    for name in pictures:
        assert cv2.imread(str(tmp_path / 'results' / name)).std() > 1
