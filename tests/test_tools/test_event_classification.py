"""Folders of event recordings, as N-MNIST and N-CARS have them, through mmpretrain's task."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mmsterf.engine import cli
from mmsterf.engine.config import load_config
from mmsterf.events import EVENT
from mmsterf.versions import missing_for_pretraining

if missing_for_pretraining():
    pytest.skip(f'mmpretrain is optional; not installed: {missing_for_pretraining()}', allow_module_level=True)
nmnist = pytest.importorskip('evio.formats.nmnist')
prophesee = pytest.importorskip('evio.formats.prophesee')

ROOT = Path(__file__).parents[2]
TINY = (
    'model.backbone.arch={"embed_dims":(8,16,16,16),"depths":(1,1,1,1,1)}', 'model.head.in_channels=16',
    'param_scheduler=[]', 'optim_wrapper.optimizer.lr=0.003',
    'train_dataloader.batch_size=8', 'train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False',
    'val_dataloader.num_workers=0', 'val_dataloader.persistent_workers=False',
    'test_dataloader.num_workers=0', 'test_dataloader.persistent_workers=False',
)  # fmt: skip


def write_recordings(root: Path, folders: dict, write, suffix: str, last: int, count: int = 4) -> None:
    """Recordings of which the first class has bright events on the left, the second dark ones on the right."""
    rng = np.random.default_rng(0)
    for split, classes in folders.items():
        for label, name in enumerate(classes):
            (root / split / name).mkdir(parents=True)
            for i in range(count):
                events = np.zeros(800, EVENT)
                events['t'] = np.sort(rng.integers(0, last, 800))
                events['x'], events['y'] = rng.integers(0, 17, 800) + 17 * label, rng.integers(0, 34, 800)
                events['p'] = 1 - label
                write(root / split / name / f'{i:05d}{suffix}', events)


def test_batches_become_sequences():
    from mmsterf.models.cls import SequenceClsDataPreprocessor

    inputs = [torch.arange(6 * 5 * 4).reshape(6, 5, 4).float(), torch.ones(6, 5, 4)]
    made = SequenceClsDataPreprocessor(time_steps=3, mean=(1.0, 2.0), std=(2.0, 2.0), to_rgb=True)
    for batch in (inputs, torch.stack(inputs)):  # mmengine's two ways to collate
        out = made({'inputs': batch})['inputs']
        assert out.shape == (3, 2, 2, 5, 4)
        # Channels of a step are turned round, then normed.
        assert torch.equal(out[1, 0, 0], (inputs[0][3] - 1) / 2) and torch.equal(out[1, 0, 1], (inputs[0][2] - 2) / 2)


def test_nmnist_trains_and_tests(tmp_path, monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    monkeypatch.setenv('MMSTERF_NMNIST_ROOT', str(tmp_path / 'data'))
    torch.set_num_threads(1)
    write_recordings(tmp_path / 'data', dict(Train='01', Test='01'), nmnist.write, '.bin', 300_000)
    config, work = str(ROOT / 'configs/events/sdtv2_nmnist.py'), tmp_path / 'work'
    options = (
        '--cfg-options',
        *TINY,
        'model.head.num_classes=2',
        'train_cfg.max_epochs=25',
        'train_cfg.val_interval=25',
        'randomness.seed=3',
    )
    cli.train([config, '--work-dir', str(work), *options])
    metrics = cli.test([config, str(work / 'epoch_25.pth'), '--work-dir', str(work), *options])
    assert metrics['accuracy/top1'] == 100  # the two classes share no pixel


def test_ncars_recordings_become_batches(tmp_path, monkeypatch):
    monkeypatch.setenv('MMSTERF_NCARS_ROOT', str(tmp_path))
    names = ('background', 'cars')
    write_recordings(tmp_path, dict(train=names, test=names), prophesee.write, '.dat', 100_000, count=1)
    cfg = load_config(str(ROOT / 'configs/events/sdtv2_ncars.py'))
    from mmengine.registry import DefaultScope
    from mmpretrain.registry import DATASETS, MODELS

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset, model = DATASETS.build(cfg.train_dataloader.dataset), MODELS.build(cfg.model)
    items = [dataset[i] for i in range(2)]
    assert names == dataset.CLASSES and [int(item['data_samples'].gt_label) for item in items] == [0, 1]
    batch = model.data_preprocessor({key: [item[key] for item in items] for key in items[0]})
    assert batch['inputs'].shape == (4, 2, 2, 64, 64)
    assert model.eval()(batch['inputs']).shape == (2, 2)
