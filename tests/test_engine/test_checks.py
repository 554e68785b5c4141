"""Models whose parts disagree are refused before work starts."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmsterf.engine.checks import ClassCountHook, check_model, check_weights
from mmsterf.errors import InvalidInput
from mmsterf.registry import MODELS

CONFIGS = Path(__file__).parents[2] / 'configs'


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({}, None),
        (
            {'decode_head.feature_strides': [4, 8, 16, 32]},
            r'decode_head\.feature_strides is \(4, 8, 16, 32\), .* strides \(2, 4, 8, 16\)',
        ),
        ({'neck.conv_cfg.neuron.time_steps': 1}, r'neck\.lateral_convs\.0\..* time_steps=1, but the maps have 4'),
        ({'decode_head.neuron.time_steps': 2}, r'decode_head\..* time_steps=2, but the maps have 4'),
        ({'backbone.output': 'rate'}, r'time_steps=4, but the maps have 1'),
    ],
)
def test_segmentor(change, message):
    config = Config.fromfile(CONFIGS / 'semantic_fpn_sdtv2_digits.py')
    config.merge_from_dict({f'model.{key}': value for key, value in change.items()})
    cfg = config.model
    cfg._scope_ = 'mmseg'
    model = MODELS.build(cfg)
    if message is None:
        check_model(model)
        return
    with pytest.raises(ValueError, match=message):
        check_model(model)


def runner_of(model: nn.Module, classes) -> SimpleNamespace:
    loader = SimpleNamespace(dataset=SimpleNamespace(metainfo={'classes': classes}))
    return SimpleNamespace(model=model, train_dataloader=loader, val_dataloader=loader, test_dataloader=loader)


@pytest.mark.parametrize('stage', ['before_train', 'before_val_epoch', 'before_test_epoch'])
@pytest.mark.parametrize('name', ['decode_head', 'auxiliary_head', 'bbox_head'])
def test_number_of_classes(stage, name):
    head = nn.Identity()
    head.num_classes = 2
    model = nn.Module()
    model.rpn_head = nn.Identity()
    model.rpn_head.num_classes = 1
    model.add_module(name, nn.ModuleList([head]) if name == 'auxiliary_head' else head)
    check = getattr(ClassCountHook(), stage)
    check(runner_of(model, ('a', 'b')))
    check(runner_of(model, None))
    with pytest.raises(InvalidInput, match=rf'{name}.*num_classes is 2, .* 4 classes \(a, b, c, \.\.\.\)'):
        check(runner_of(model, ('a', 'b', 'c', 'd')))


def test_weights(site):
    model, file = nn.Linear(2, 3), str(site.folder / 'w.pth')
    wrapper = nn.Module()
    wrapper.module = model
    torch.save({'state_dict': {f'module.{k}': v for k, v in model.state_dict().items()}}, file)
    check_weights(wrapper, file)
    for place in (file, f'{site.url}/w.pth'):
        with pytest.raises(ValueError, match=r'does not fit the Linear .*\n.*wrong shape \(2\): .*weight'):
            check_weights(nn.Linear(2, 4), place)
