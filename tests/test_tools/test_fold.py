"""tools/test.py --fold: the same predictions from a model without batch norms."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from tiny_tasks import IMAGES, run_tool, write_task
from torch import nn

from mmsterf.engine.testing import FoldHook
from mmsterf.snn.reparam import SpikeRepConv

OVER_TIME = [
    *('model.backbone.type=mmsterf.MetaSDTv2', 'model.backbone.time_steps=2'),
    *('model.neck.norm_cfg.type=BN', 'model.decode_head.norm_cfg.type=BN'),
]


@pytest.fixture(scope='module')
def task(tmp_path_factory):
    """Folder, config and model of a tiny segmentation on Meta-SDT v2 whose statistics are those of no fresh model."""
    folder = tmp_path_factory.mktemp('fold')
    config = write_task(folder, 'segmentation')
    cfg = Config.fromfile(config)
    cfg.model.backbone.update(type='mmsterf.MetaSDTv2', time_steps=2)
    cfg.merge_from_dict({'model.backbone.norm_cfg': dict(type='BN'), 'norm_cfg.type': 'BN'})
    for part in (cfg.model.neck, cfg.model.decode_head):
        part.norm_cfg = dict(type='BN')
    torch.manual_seed(0)
    model = MODELS.build(cfg.model)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.8, 1.5)
            nn.init.normal_(module.bias, 0.3)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return folder, config, model.double().eval()


def test_label_maps_are_the_same(task):
    folder, config, model = task
    checkpoint = folder / 'random.pth'
    torch.save({'state_dict': model.float().state_dict()}, checkpoint)
    model.double()
    maps = {}
    for name, flags in (('plain', []), ('folded', ['--fold'])):
        arguments = ['--work-dir', folder / 'work', '--out', folder / name, *flags, '--cfg-options', *OVER_TIME]
        printed = run_tool('test', config, checkpoint, *arguments, folder=folder)
        assert 'mIoU:' in printed and ('--fold: ' in printed) == bool(flags)
        maps[name] = np.stack([cv2.imread(str(path), -1) for path in sorted((folder / name).glob('*.png'))])
    assert len(maps['plain']) == IMAGES and len(np.unique(maps['plain'])) > 1
    # Rounding may turn a potential at the threshold into a spike more or less.
    assert (maps['plain'] == maps['folded']).mean() > 0.995


@pytest.mark.parametrize('depth', [0, 1, 2])
def test_the_runner_gets_a_folded_copy(task, depth):
    model = task[-1]
    runner = SimpleNamespace(model=model)
    for _ in range(depth):  # as for several processes and test-time augmentation
        wrapper = nn.Module()
        wrapper.module, runner.model = runner.model, wrapper
    FoldHook().before_test_epoch(runner)
    folded = runner.model
    for _ in range(depth):
        folded = folded.module
    assert folded is not model and any(isinstance(m, SpikeRepConv) for m in model.modules())
    assert not any(isinstance(m, (nn.BatchNorm2d, SpikeRepConv)) for m in folded.modules())
    x = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        expected, found = model(x), folded(x)
    assert expected.std() > 0 and torch.allclose(found, expected, atol=1e-6)
