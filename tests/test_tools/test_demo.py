"""tools/demo.py on a few scenes: it makes them, trains, evaluates before and after, and draws."""

import json

import cv2
import pytest
from tiny_tasks import run_script

from mmsterf.versions import missing_for_pretraining

ARGUMENTS = ('--data', 'scenes', '--length', '1', '--work-dir', 'results')
PICTURES = ('--pictures', 'digits', '--train-pictures', '40')
EVENTS = {'curves.png', 'predictions.png', 'st_erf.png', 'st_erf_delays.png', 'st_erf_temporal.png'}


@pytest.mark.parametrize(
    ('task', 'counts', 'line', 'metric', 'pictures'),
    [
        ('det', (16, 6), 'box AP ', 'coco/segm_mAP_50', {'curves.png', 'predictions.png', 'st_erf.png'}),
        ('seg', (16, 6), 'mIoU ', 'mIoU', {'curves.png', 'predictions.png'}),
        ('events', (3, 2), 'box AP ', 'coco/bbox_mAP_50', EVENTS),
    ],
)
def test_demo(tmp_path, task, counts, line, metric, pictures):
    pretrained = task == 'seg' and not missing_for_pretraining()  # what detection and segmentation do by themselves
    more = PICTURES if pretrained else () if task == 'events' else ('--no-pretrain',)
    options = ('--train', counts[0], '--val', counts[1], *ARGUMENTS, *more)
    done = run_script('demo.py', '--task', task, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:]
    digits, before, after = done.stdout.splitlines()[-3:]
    assert ('of single digits told right' in digits) == pretrained
    assert ('loaded all ' in done.stdout) == pretrained, 'the backbone starts from the pretrained one'
    assert before.startswith(f'before training: {line}') and after.startswith(f' after training: {line}')
    metrics = json.loads((tmp_path / 'results/metrics.json').read_text())
    assert set(metrics) == {'before', 'after', *(['pretraining'] if pretrained else [])}
    assert 0 <= metrics['after'][metric] <= 100
    (scalars,) = (tmp_path / 'results').glob('2*/vis_data/scalars.json')
    steps = [line['step'] for line in map(json.loads, scalars.open()) if metric in line]
    assert max(steps) == 1, 'validations are drawn over iterations'
    assert {path.name for path in (tmp_path / 'results').glob('*.png')} == pictures
    # Of events, a recording too.
    moving = {path.name: path.stat().st_size for path in (tmp_path / 'results').glob('*.gif')}
    assert set(moving) == ({'predictions.gif'} if task == 'events' else set()) and all(
        n > 10_000 for n in moving.values()
    )
    for name in pictures:
        assert cv2.imread(str(tmp_path / 'results' / name)).std() > 1
