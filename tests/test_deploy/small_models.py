"""Models of the configs here, made small: narrow, one block a stage, two time steps where there are several."""

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import nn

ROOT = Path(__file__).parents[2]
ARCH = dict(embed_dims=(8, 8, 16, 16), depths=(1, 1, 1, 1, 1))
SIZES = {
    'mmsterf.MetaSDT': dict(arch=ARCH, mlp_ratio=1),
    'mmsterf.MetaSDTv2': dict(arch=ARCH, mlp_ratio=1),
    'mmsterf.QKFormer': dict(arch=None, embed_dims=32, depths=(1, 1, 1), num_heads=4),
    'mmsterf.SpikeDrivenTransformer': dict(arch=None, embed_dims=32, depth=1),
    'mmsterf.Spikformer': dict(arch=None, embed_dims=32, depth=1, num_heads=4),
}
TIME_STEPS = 2
WIDE = {1024: 64, 256: 32}
"""Channels of necks and heads, and what they become."""


def config(name: str) -> Config:
    """A config made small; `name` is below configs/, without the ending."""
    cfg = Config.fromfile(ROOT / f'configs/{name}.py')
    model = cfg.model
    model.backbone.update(SIZES[model.backbone.type])
    _shorten_time(model)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        channels = MODELS.build(model.backbone).out_channels
    if cfg.default_scope == 'mmpretrain':
        model.head.update(num_classes=7, in_channels=channels[-1])
        return cfg
    _narrow({key: part for key, part in model.items() if key not in ('backbone', 'data_preprocessor')})
    model.neck.in_channels = list(channels)
    if cfg.default_scope == 'mmdet':
        rpn = model.test_cfg.get('rpn') or model.test_cfg
        rpn.update(nms_pre=60, max_per_img=20)
        (model.test_cfg.get('rcnn') or model.test_cfg).update(max_per_img=10, score_thr=0.0)
    return cfg


def _shorten_time(part) -> None:
    if isinstance(part, dict) and part.get('time_steps', 1) > 1:
        part['time_steps'] = TIME_STEPS
    for value in part.values() if isinstance(part, dict) else part if isinstance(part, (list, tuple)) else ():
        _shorten_time(value)


def _narrow(part) -> None:
    """Necks and heads with few channels."""
    for key, value in part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ():
        if isinstance(key, str) and key.endswith('channels') and isinstance(value, int) and value in WIDE:
            part[key] = WIDE[value]
        elif isinstance(key, str) and key == 'in_channels' and isinstance(value, list):
            part[key] = [WIDE.get(width, width) for width in value]
        else:
            _narrow(value)


def build(cfg: Config) -> nn.Module:
    """The model of a config, with random weights that let neurons fire at all depths, in evaluation mode."""
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight)
        elif isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.uniform_(module.weight, 0.8, 1.5)
            nn.init.normal_(module.bias, 0.3)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    model.eval()
    return model
