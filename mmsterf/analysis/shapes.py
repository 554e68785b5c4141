"""The input of a model of OpenMMLab: what its config adds to what the model itself tells."""

from collections.abc import Callable, Iterator
from typing import Optional

from torch import Tensor, nn

from mmsterf.engine.dataset_parts import dataset_leaves
from mmsterf.erf import shapes
from mmsterf.erf.shapes import InputShape, Size, input_channels

_SIZED = ('Resize', 'FixShapeResize', 'CenterCrop', 'RandomCrop', 'RandomResize', 'RandomChoiceResize')


def input_shape(
    cfg: Optional[dict], model: nn.Module, forward: Callable[[nn.Module, Tensor], object], **how
) -> InputShape:
    """Return the shape of a model's input (`mmsterf.erf.shapes.input_shape`); its config, too, says what may fit.

    Args:
        cfg: The config.
        model: Any model.
        forward: ``forward(model, x)``.
        how: Further arguments of `mmsterf.erf.shapes.input_shape`.
    """
    return shapes.input_shape(model, forward, sizes=sizes_of(cfg, model), guess=_normalised(model), **how)


def _normalised(model: nn.Module) -> int:
    """Channels that the data preprocessor has means of; 3 if it has none."""
    mean = getattr(getattr(model, 'data_preprocessor', None), 'mean', None)
    return mean.numel() if isinstance(mean, Tensor) else 3


def take_noise(model: nn.Module, channels: int) -> None:
    """Let a data preprocessor, made for colours, normalise noise of any number of channels: all of them alike."""
    preprocessor = getattr(model, 'data_preprocessor', None)
    mean = getattr(preprocessor, 'mean', None)
    if isinstance(mean, Tensor) and mean.numel() not in (1, channels):
        for name in ('mean', 'std'):
            setattr(preprocessor, name, getattr(preprocessor, name).mean().view(1, 1, 1))
    if channels != 3 and hasattr(preprocessor, '_channel_conversion'):
        preprocessor._channel_conversion = False


def channels_of(model: nn.Module, forward: Callable[[nn.Module, Tensor], object]) -> int:
    """Return the channels of a model's images."""
    return input_channels(model, _normalised(model), forward=forward)


def packed_channels(model: nn.Module, forward: Callable[[nn.Module, Tensor], object]) -> int:
    """Return the channels of what a pipeline packs for a model: those of its images, or of all steps of a sequence."""
    steps = getattr(getattr(model, 'data_preprocessor', None), 'steps_in_channels', 1)
    return steps * channels_of(model, forward)


def sizes_of(cfg: Optional[dict], model: nn.Module) -> list[Size]:
    """Return the sizes that a model (`img_size`) and its config (test pipeline, preprocessor, training crops) name."""
    found: list = list(shapes.own_sizes(model))
    cfg = cfg or {}
    for name in ('test_dataloader', 'val_dataloader', 'train_dataloader'):
        loader = cfg.get(name)
        if loader and loader.get('dataset'):
            for leaf in dataset_leaves(loader['dataset']):
                found += list(_pipeline_sizes(leaf.get('pipeline') or ()))
    preprocessor = cfg.get('data_preprocessor') or (cfg.get('model') or {}).get('data_preprocessor') or {}
    found.append(shapes.size_of(preprocessor.get('size')))
    divisor = preprocessor.get('pad_size_divisor') or 1
    return list(dict.fromkeys(tuple(-(-n // divisor) * divisor for n in size) for size in found if size))


def _pipeline_sizes(steps) -> Iterator[Optional[Size]]:
    for step in steps:
        if isinstance(step, (list, tuple)):
            yield from _pipeline_sizes(step)
        elif isinstance(step, dict):
            kind = str(step.get('type', '')).rpartition('.')[2]
            if kind in _SIZED:
                for key in ('scale', 'scales', 'crop_size', 'width'):
                    value = step.get(key)
                    value = value[0] if key == 'scales' and value else value
                    if key == 'width' and value:
                        value = (value, step.get('height', value))
                    size = shapes.size_of(value)
                    # scales are (width, height), sizes of crops are (height, width)
                    yield size[::-1] if size and key != 'crop_size' else size
            yield from _pipeline_sizes(step.get('transforms') or ())
