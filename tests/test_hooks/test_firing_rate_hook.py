"""FiringRateHook in a real run: scalars of the visualizer, warnings, no trace."""

import json

import pytest
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.visualization import Visualizer
from torch import nn
from torch.utils.data import Dataset

from mmsterf.hooks import FiringRateHook
from mmsterf.snn import ILIF, SpikeLinear


class Numbers(Dataset):
    """Every sample is (0, 1, 2, 9): counts 0, 1, 2, 4, of 16 slots."""

    def __len__(self):
        return 6

    def __getitem__(self, i):
        return {'inputs': torch.tensor([0.0, 1.0, 2.0, 9.0])}


class Model(BaseModel):
    def __init__(self):
        super().__init__()
        self.fc = SpikeLinear(4, 2)
        self.dead = ILIF()
        self.full = ILIF()

    def forward(self, inputs, mode='tensor'):
        y = self.fc(torch.stack(list(inputs)))
        self.dead(-y.abs() - 1), self.full(y.abs() + 9)
        return {'loss': y.square().mean()} if mode == 'loss' else y


class Nothing(nn.Module):
    metrics = ()
    dataset_meta = None

    def process(self, **kwargs):
        pass

    def evaluate(self, size):
        return {}


def train(work_dir, hooks):
    torch.manual_seed(0)
    Visualizer._instance_dict.clear()
    loader = dict(batch_size=2, num_workers=0, dataset=Numbers(), sampler=dict(type='DefaultSampler', shuffle=False))
    runner = Runner(
        model=Model(), work_dir=str(work_dir), train_dataloader=loader, val_dataloader=dict(loader),
        train_cfg=dict(by_epoch=True, max_epochs=2), val_cfg=dict(), val_evaluator=[],
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)), custom_hooks=hooks,
        default_hooks=dict(checkpoint=None, logger=None), default_scope='mmengine', randomness=dict(seed=3),
        visualizer=dict(type='Visualizer', vis_backends=[dict(type='LocalVisBackend')]),
        experiment_name=work_dir.name,
    )  # fmt: skip
    runner.train()
    return runner


def test_scalars_warnings_and_the_same_training(tmp_path, capfd):
    runner = train(tmp_path / 'with', [dict(type='mmsterf.FiringRateHook', interval=2)])
    printed = ''.join(capfd.readouterr())
    (file,) = (tmp_path / 'with').rglob('scalars.json')
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    train_lines = [line for line in lines if 'firing_rate/mean' in line]
    val_lines = [line for line in lines if 'val_firing_rate/mean' in line]
    assert [line['step'] for line in train_lines] == [2, 4, 6] and [line['step'] for line in val_lines] == [3, 6]
    for line in train_lines:
        assert line['firing_rate/fc.neuron'] == 7 / 16
        assert (line['firing_rate/dead'], line['firing_rate/full']) == (0, 1)
        assert line['firing_rate/mean'] == pytest.approx((7 + 0 + 8) / 32)
    assert val_lines[0]['val_firing_rate/fc.neuron'] == 7 / 16
    assert printed.count('dead neurons (train, step 2): dead') == 1
    assert printed.count('saturated neurons') == 1  # said once, not every time
    assert not any(m._forward_hooks for m in runner.model.modules())
    plain = train(tmp_path / 'without', [])
    for a, b in zip(runner.model.parameters(), plain.model.parameters()):
        assert torch.equal(a, b)


@pytest.mark.parametrize('interval', [0, -1, 1.5])
def test_interval_is_checked(interval):
    with pytest.raises(ValueError, match=f'interval of FiringRateHook must be a positive integer, got {interval}'):
        FiringRateHook(interval)


def test_saturated_attention_is_named(tmp_path, capfd):
    """At 64 x 64 pixels all spikes of q, k and v make a product far above the largest count; scaled by tokens less."""
    from types import SimpleNamespace

    from mmengine.logging import MMLogger

    from mmsterf.models.sdsa import SDSA

    MMLogger.get_instance('saturated', logger_name='saturated')
    told = {}
    for scale in ('published', 1e-6):
        attention = SDSA(8, num_heads=2, scale=scale)
        torch.nn.init.constant_(attention.norm.bias, 2.0)
        model = torch.nn.ModuleDict({'attn': attention})
        runner = SimpleNamespace(model=model, iter=0, visualizer=SimpleNamespace(add_scalars=lambda *_: None))
        hook = FiringRateHook(interval=1)
        hook._before_iter(runner, 0)
        attention(torch.rand(1, 8, 64, 64) * 4)
        hook._after_iter(runner, 0)
        told[scale] = ''.join(capfd.readouterr())
    assert 'saturated neurons (train, step 1): attn.proj.' in told['published']
    assert 'the output of attention among them' in told['published'] and "attention_scale='tokens'" in told['published']
    assert 'the output of attention' not in told[1e-6]
