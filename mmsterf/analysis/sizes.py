"""Parameters and multiply-accumulates of the models of configs, counted without memory for either."""

import torch
from mmengine.registry import DefaultScope
from torch.utils.flop_counter import FlopCounterMode

from mmsterf.registry import MODELS


def without_memory(cfg) -> torch.nn.Module:
    """The model of a config on the meta device: shapes, and no numbers."""
    with torch.device('meta'), DefaultScope.overwrite_default_scope(cfg.default_scope):
        return MODELS.build(cfg.model)


def counts(cfg) -> tuple:
    """Parameters, multiply-accumulates of backbone and neck in all time steps, and the (H, W) of images for these."""
    size, model = image_size(cfg), without_memory(cfg)
    model.eval()
    with torch.device('meta'), torch.no_grad(), FlopCounterMode(display=False) as counter:
        maps = model.backbone(torch.empty(1, cfg.model.backbone.get('in_channels', 3), *size))
        if getattr(model, 'neck', None) is not None:
            model.neck(maps)
    return sum(p.numel() for p in model.parameters()), counter.get_total_flops() // 2, size


def image_size(cfg) -> tuple:
    """(H, W) of test images: the model's, the pipeline's (in detection filled up to multiples of 32), or ImageNet's."""
    if cfg.default_scope == 'mmseg':
        return tuple(cfg.model.data_preprocessor.size)
    steps = cfg.test_dataloader.dataset.pipeline
    if cfg.default_scope == 'mmpretrain':
        sizes = [step.scale for step in steps if step.type == 'Resize']
        sizes += [step.sensor for step in steps if step.get('sensor')]
        sizes += [(step.crop_size,) * 2 for step in steps if step.type == 'CenterCrop']
        return tuple(sizes[0]) if sizes else (224, 224)
    width, height = next((step.scale for step in steps if step.type == 'Resize'), None) or cfg.sensor
    return -(-height // 32) * 32, -(-width // 32) * 32
