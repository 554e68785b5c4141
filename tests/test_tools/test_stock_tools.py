"""mmdet's and mmseg's own analysis tools on our configs.

Three of them fail with any config in this environment and are tried as far as they go: mmseg's get_flops gives
mmengine 0.10.7 both `input_shape` and `inputs`, which it refuses; mmdet's inference benchmark calls `.cuda()`; mmseg's
browse_dataset draws on arrays that OpenCV 5 refuses. It and mmseg's confusion_matrix ask the class of the data set for
its classes, which a BaseSegDataset with `metainfo` has not.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import mmdet
import mmseg
import pytest
import torch
from tiny_tasks import IMAGES, ON_CPU, ROOT, run_tool, write_task

MMDET, MMSEG = (Path(package.__file__).parent / '.mim/tools' for package in (mmdet, mmseg))

opencv_draws = pytest.mark.skipif(
    int(cv2.__version__.split('.')[0]) >= 5, reason="OpenCV 5 refuses to draw on the stock tool's arrays"
)


@pytest.fixture(scope='module')
def folder(tmp_path_factory) -> Path:
    """Both tiny tasks, trained and tested, and what the tools made of them; `printed.json` has their words."""
    folder = tmp_path_factory.mktemp('stock_tools')
    det, seg = folder / 'detection', folder / 'segmentation'
    for path, task in ((det, 'detection'), (seg, 'segmentation')):
        path.mkdir()
        run_tool('train', write_task(path, task), '--work-dir', path / 'w', folder=path)
    det_config, seg_config = det / 'detection.py', seg / 'segmentation.py'
    prefix = f'test_evaluator.outfile_prefix={det / "results"}'
    run_tool('test', det_config, det / 'w/epoch_2.pth', '--out', det / 'out.pkl', '--cfg-options', prefix, folder=det)
    run_tool('test', seg_config, seg / 'w/iter_6.pth', '--out', seg / 'predictions', folder=seg)
    known = seg / 'known.py'  # a data set whose class knows its classes
    dataset = 'dict(dataset=dict(type="LoveDADataset", img_suffix=".jpg", metainfo=None))'
    known.write_text(f"_base_ = 'segmentation.py'\ntrain_dataloader = {dataset}\ntest_dataloader = {dataset}\n")
    log = {path: next(path.glob('w/*/vis_data/scalars.json')) for path in (det, seg)}
    # seaborn's, as is the default; the onedl fork has that default, too, but asks matplotlib for it.
    style = 'dark' if 'seaborn' in (MMDET / 'analysis_tools/analyze_logs.py').read_text() else 'default'
    tools = {
        'det_flops': (MMDET / 'analysis_tools/get_flops.py', det_config),
        'det_print': (MMDET / 'misc/print_config.py', det_config),
        'seg_print': (MMSEG / 'misc/print_config.py', seg_config),
        'det_benchmark': (
            *(MMDET / 'analysis_tools/benchmark.py', det_config, '--task', 'dataloader'),
            *('--max-iter', 4, '--repeat-num', 1, '--num-warmup', 1, '--log-interval', 2),
            *('--cfg-options', 'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False'),
        ),
        'seg_benchmark': (
            *(MMSEG / 'analysis_tools/benchmark.py', seg_config, seg / 'w/iter_6.pth'),
            *('--log-interval', 7, '--work-dir', folder / 'benchmark'),
        ),
        'det_curve': (
            MMDET / 'analysis_tools/analyze_logs.py',
            'plot_curve',
            log[det],
            '--keys',
            'loss',
            '--out',
            'd.png',
            '--style',
            style,
        ),
        'det_time': (MMDET / 'analysis_tools/analyze_logs.py', 'cal_train_time', log[det]),
        'seg_curve': (MMSEG / 'analysis_tools/analyze_logs.py', log[seg], '--keys', 'mIoU', '--out', 's.png'),
        'det_browse': (
            *(MMDET / 'analysis_tools/browse_dataset.py', det_config, '--output-dir', folder / 'det_browse'),
            '--not-show',
        ),
        'seg_browse': (MMSEG / 'misc/browse_dataset.py', known, '--output-dir', folder / 'seg_browse', '--not-show'),
        'det_confusion': (
            *(MMDET / 'analysis_tools/confusion_matrix.py', det_config, det / 'out.pkl', folder / 'det_confusion'),
        ),
        'seg_confusion': (
            *(MMSEG / 'analysis_tools/confusion_matrix.py', known, seg / 'predictions', folder / 'seg_confusion'),
        ),
        'det_errors': (
            *(MMDET / 'analysis_tools/coco_error_analysis.py', det / 'results.bbox.json', folder / 'errors'),
            *('--ann', det / 'data/instances.json', '--types', 'bbox'),
        ),
        'det_publish': (MMDET / 'model_converters/publish_model.py', det / 'w/epoch_2.pth', folder / 'det.pth'),
        'seg_publish': (MMSEG / 'misc/publish_model.py', seg / 'w/iter_6.pth', folder / 'seg.pth'),
    }
    calls = json.dumps([[name, *map(str, tool[:1]), [str(arg) for arg in tool[1:]]] for name, tool in tools.items()])
    script = Path(__file__).with_name('run_stock_tools.py')
    env = {**os.environ, **ON_CPU, 'PYTHONPATH': os.pathsep.join([str(ROOT), *sys.path]), 'MPLBACKEND': 'Agg'}
    done = subprocess.run([sys.executable, script, calls], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return folder


@pytest.fixture
def printed(folder) -> dict:
    return json.loads((folder / 'printed.json').read_text())


@pytest.mark.parametrize(
    ('name', 'words'),
    [
        ('det_flops', 'Flops: '),
        ('det_print', "type='mmsterf.MetaSDT'"),
        ('seg_print', "type='mmsterf.MetaSDT'"),
        ('det_benchmark', 'Overall fps'),
        ('seg_benchmark', 'fps: '),
        ('det_time', 'average iter time'),
    ],
)
def test_tool_says(printed, name, words):
    assert words in printed[name] and 'Traceback' not in printed[name], printed[name][-3000:]


@pytest.mark.parametrize(
    ('name', 'pattern', 'number'),
    [
        ('det_curve', 'd.png', 1),
        ('seg_curve', 's.png', 1),
        ('det_browse', 'det_browse/*.jpg', IMAGES),
        pytest.param('seg_browse', 'seg_browse/vis_data/vis_image/*.png', IMAGES, marks=opencv_draws),
        ('det_confusion', 'det_confusion/*.png', 1),
        ('seg_confusion', 'seg_confusion/*.png', 1),
        ('det_errors', 'errors/bbox/*.png', 12),
        ('det_publish', 'det-*.pth', 1),
        ('seg_publish', 'seg-*.pth', 1),
    ],
)
def test_tool_writes(folder, printed, name, pattern, number):
    assert 'Traceback' not in printed[name], printed[name][-3000:]
    assert len(list(folder.glob(pattern))) == number, printed[name][-3000:]


def test_published_weights_are_those_of_training(folder):
    for name, source in (('det-*', 'detection/w/epoch_2.pth'), ('seg-*', 'segmentation/w/iter_6.pth')):
        published = torch.load(next(folder.glob(f'{name}.pth')), weights_only=True)
        trained = torch.load(folder / source, weights_only=True)['state_dict']
        assert 'optimizer' not in published
        assert all(torch.equal(published['state_dict'][key], value) for key, value in trained.items())
