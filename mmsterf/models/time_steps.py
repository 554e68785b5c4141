"""Time steps as configured against time steps as they are."""

import re

from torch import nn

_HEADS = re.compile(r'(^head|(^|\.)(rpn|bbox|mask|mask_iou|point|decode|auxiliary)_head)(\.\d+)?$')


def heads(model: nn.Module) -> list:
    """Names and modules of the heads of a detector or segmentor, each of several by itself."""
    return [
        (name, module)
        for name, module in model.named_modules()
        if _HEADS.search(name) and not isinstance(module, nn.ModuleList)
    ]


def check_time_steps(model: nn.Module) -> None:
    """Refuse a detector or segmentor whose neck or heads take its maps for maps of other time steps.

    Neurons would mix images, or RoIs be taken from the first step alone. Backbones without `output` pass.

    Raises:
        ValueError: If `time_steps` of a neuron or RoI extractor is not that of the backbone's maps, a head has none, or
            the data preprocessor makes sequences of other steps than the backbone takes.
    """
    backbone = model.backbone
    if not hasattr(backbone, 'output'):
        return
    inputs = getattr(model, 'data_preprocessor', None)
    if getattr(inputs, 'layout', None) == 'steps' and inputs.time_steps != backbone.time_steps:
        raise ValueError(
            f'data_preprocessor ({type(inputs).__name__}) has time_steps={inputs.time_steps}, but '
            f'backbone.time_steps is {backbone.time_steps}'
        )
    expected = backbone.time_steps if backbone.output == 'folded' else 1
    for name, module in heads(model) if expected > 1 else ():
        if not any(hasattr(m, 'time_steps') for m in module.modules()):
            raise ValueError(
                f'{name} ({type(module).__name__}) knows no time steps, but the maps have {expected}: take a spiking '
                "head, or average the maps over time (backbone.output='rate')"
            )
    for name, module in model.named_modules():
        if f'{name}.'.startswith(('backbone.', 'data_preprocessor.')):
            continue
        # An extractor that does not know of time has one step.
        found = getattr(module, 'time_steps', 1 if hasattr(module, 'roi_layers') else expected)
        if found != expected:
            raise ValueError(
                f'{name} ({type(module).__name__}) has time_steps={found}, but the maps have {expected} '
                f'(backbone.time_steps {backbone.time_steps}, backbone.output {backbone.output!r})'
            )
