"""STERFHook in real mmengine runs: it draws, and the trained weights do not change by a bit."""

import json
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler
from mmengine.model import BaseDataPreprocessor, BaseModel
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import Dataset

from mmsterf.hooks import STERFHook
from mmsterf.hooks.figures import add_figure
from mmsterf.models.backbones.meta_sdt import MetaSDT


class Preprocessor(BaseDataPreprocessor):
    def forward(self, data, training=False):
        inputs = data['inputs']
        return {'inputs': (torch.stack(list(inputs)).float() - 0.5) * 2, 'target': data.get('target')}


class Pictures(Dataset):
    """Random pictures that take from the generators when they are read, as augmentations do."""

    def __len__(self):
        return 6

    def __getitem__(self, i):
        g = torch.Generator().manual_seed(i)
        jitter = torch.rand(1)
        return {'inputs': torch.rand(3, 32, 32, generator=g) + 0.01 * jitter, 'target': torch.tensor(float(i % 2))}


class Classifier(BaseModel):
    def __init__(self):
        super().__init__(data_preprocessor=Preprocessor())
        self.backbone = MetaSDT(dict(embed_dims=(8, 8, 16, 16)), dict(type='MLPixer', dropout=0.2), mlp_ratio=1)
        self.head = nn.Linear(16, 1)

    def extract_feat(self, x):
        return self.backbone(x)

    def forward(self, inputs, target, mode='tensor'):
        y = self.head(self.extract_feat(inputs)[-1].mean((2, 3)))[:, 0]
        return {'loss': nn.functional.mse_loss(y, torch.as_tensor(target, dtype=y.dtype))} if mode == 'loss' else y


def train(work_dir, hooks=(), amp=False, epochs=2, **options):
    torch.manual_seed(0)
    loader = dict(batch_size=2, num_workers=0, dataset=Pictures(), sampler=dict(type=DefaultSampler, shuffle=True))
    optimizer = dict(optimizer=dict(type='SGD', lr=0.05, momentum=0.9))
    if amp:
        optimizer.update(type='mmsterf.engine.device.BFloat16OptimWrapper')
    Visualizer._instance_dict.clear()
    runner = Runner(
        model=Classifier(), work_dir=str(work_dir), train_dataloader=loader, val_dataloader=dict(loader),
        train_cfg=dict(by_epoch=True, max_epochs=epochs, val_interval=99), val_cfg=dict(), val_evaluator=[],
        optim_wrapper=optimizer, custom_hooks=list(hooks), randomness=dict(seed=3), default_hooks=dict(checkpoint=None),
        visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]), default_scope='mmengine',
        experiment_name=Path(work_dir).name, log_level='WARNING', **options,
    )  # fmt: skip
    runner.train()
    return runner


def written(runner):
    folder = Path(runner.visualizer.get_backend('LocalVisBackend')._save_dir)
    images = sorted(p.name for p in (folder / 'vis_image').glob('*.png')) if (folder / 'vis_image').exists() else []
    lines = [json.loads(line) for line in (folder / 'scalars.json').read_text().splitlines()]
    return images, [line for line in lines if any(k.startswith('st_erf/') for k in line)]


@pytest.mark.parametrize('amp', [False, True])
def test_training_is_the_same_to_the_last_bit(tmp_path, amp):
    plain = train(tmp_path / 'plain', amp=amp)
    hook = STERFHook(interval=2, by_epoch=False, inputs='val', num=2)
    watched = train(tmp_path / 'watched', [hook], amp=amp)
    a, b = plain.model.state_dict(), watched.model.state_dict()
    assert a.keys() == b.keys()
    assert all(torch.equal(a[k], b[k]) for k in a)
    first, second = plain.optim_wrapper.state_dict(), watched.optim_wrapper.state_dict()
    for k, state in first['state'].items():
        assert torch.equal(state['momentum_buffer'], second['state'][k]['momentum_buffer'])
    images, scalars = written(watched)
    assert images == ['st_erf_2.png', 'st_erf_4.png', 'st_erf_6.png']  # three iterations in each of two epochs
    assert [line['step'] for line in scalars] == [2, 4, 6]
    assert 0 < scalars[0]['st_erf/backbone-0/nonzero'] <= 1


def test_epochs_and_the_end(tmp_path):
    runner = train(tmp_path / 'a', [STERFHook(interval=2, size=(32, 48), num=1)], epochs=3)
    assert written(runner)[0] == ['st_erf_2.png', 'st_erf_3.png']
    runner = train(tmp_path / 'b', [dict(type='mmsterf.STERFHook', interval=0, size=(32, 32), num=1)], epochs=1)
    images, scalars = written(runner)
    assert images == ['st_erf_1.png']
    assert {k.split('/')[1] for k in scalars[0] if k != 'step'} == {f'backbone-{i}' for i in range(4)}


def test_figures_have_names_of_their_own(tmp_path, monkeypatch):
    """MLflow and DVCLive keep one image of a name; MLflow tells its format from it."""
    images, live = [], []
    mlflow = mock.MagicMock(log_image=lambda image, name: images.append((name, image.shape[2], image.dtype)))
    monkeypatch.setitem(sys.modules, 'mlflow', mlflow)
    monkeypatch.setitem(sys.modules, 'pygit2', mock.MagicMock())
    log_image = mock.MagicMock(log_image=lambda name, image: live.append(name))
    monkeypatch.setitem(sys.modules, 'dvclive', mock.MagicMock(Live=lambda **_: log_image))
    backends = [dict(type=f'{name}VisBackend', save_dir=str(tmp_path)) for name in ('MLflow', 'DVCLive')]
    backends.append(dict(type='LocalVisBackend'))
    visualizer = Visualizer(name='figures', vis_backends=backends, save_dir=str(tmp_path))
    for step in (1, 2):
        add_figure(visualizer, 'st_erf', np.zeros((4, 4, 3), np.uint8), step)
    assert images == [('st_erf_1.png', 3, np.uint8), ('st_erf_2.png', 3, np.uint8)]
    assert live == ['st_erf_1.png', 'st_erf_2.png']
    assert sorted(path.name for path in tmp_path.rglob('*.png')) == ['st_erf_1.png', 'st_erf_2.png']


def test_probe_inputs_stay_the_same(tmp_path):
    hook = STERFHook(interval=1, inputs='val', num=2)
    train(tmp_path / 'a', [hook], epochs=1)
    before = [s.clone() for s in hook._samples]
    hook._analyse(type('R', (), {'model': Classifier()}), 1)
    assert all(torch.equal(x, y) for x, y in zip(before, hook._samples))
    assert before[0].shape == (3, 32, 32)


def test_wrong_layer_is_an_error_at_the_start(tmp_path):
    with pytest.raises(ValueError, match=r"'backbone.stage9' .* would do: .*backbone.stage"):
        train(tmp_path / 'a', [STERFHook(layers=['backbone.stage9'], size=(32, 32))])


@pytest.mark.parametrize(
    ('arguments', 'why'),
    [(dict(inputs='train'), "noise, val, got 'train'"), (dict(interval=-1), 'interval'), (dict(num=0), 'num')],
)
def test_bad_arguments(arguments, why):
    with pytest.raises(ValueError, match=why):
        STERFHook(**arguments)


def test_sharded_models_are_left_alone(tmp_path, monkeypatch):
    from mmengine.registry import MODEL_WRAPPERS

    class Sharded(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, *args):
            raise AssertionError('this would wait for the other ranks')

    monkeypatch.setitem(MODEL_WRAPPERS._module_dict, 'Sharded', Sharded)
    hook = STERFHook(size=(32, 32))
    runner = type('R', (), {'model': Sharded(Classifier()), 'epoch': 1, 'iter': 1})
    hook.before_train(runner)
    hook.after_train(runner)


DISTRIBUTED = """
import sys, torch, torch.distributed as dist
sys.path.insert(0, {here!r})
from test_st_erf_hook import STERFHook, train, written
dist.init_process_group('gloo')
rank = dist.get_rank()
wrapper = dict(type='MMDistributedDataParallel', device_ids=None, broadcast_buffers=True, find_unused_parameters=True)
states = []
for name, hooks in (('plain', []), ('watched', [STERFHook(interval=1, size=(32, 32), num=1)])):
    runner = train({work!r} + '/' + name, hooks, epochs=1, launcher='pytorch', cfg=dict(model_wrapper_cfg=wrapper))
    assert type(runner.model).__name__ == 'MMDistributedDataParallel'
    states.append(runner.model.module.state_dict())
assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
if rank == 0:
    assert written(runner)[0] == ['st_erf_1.png']
dist.barrier()
"""


def test_two_processes(tmp_path):
    code = DISTRIBUTED.format(here=str(Path(__file__).parent), work=str(tmp_path))
    port = str(20000 + os.getpid() % 20000)
    common = {**os.environ, 'WORLD_SIZE': '2', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': port, 'OMP_NUM_THREADS': '1'}
    runs = [
        subprocess.Popen(
            [sys.executable, '-c', code], env={**common, 'RANK': str(r), 'LOCAL_RANK': str(r)},
            stderr=subprocess.PIPE, text=True,
        )
        for r in range(2)
    ]  # fmt: skip
    try:
        errors = [run.communicate(timeout=180)[1] for run in runs]
    finally:
        for run in runs:
            run.kill()
    assert [run.returncode for run in runs] == [0, 0], errors
