"""Whole models whose networks another runtime runs: detectors, segmentors, classifiers, and plain modules."""

from functools import partial
from typing import Callable, Optional

import torch
from torch import Tensor, nn

from mmsterf.errors import InvalidInput
from mmsterf.snn import fold_norms

from .parts import dense_head, prepared, roi_heads
from .regions import share_regions
from .running import Compiled
from .runtimes import check_backend


class _Maps(tuple):
    """Maps behind the neck, and what the dense head makes of them."""

    dense = None


class _Front(nn.Module):
    """In the place of a backbone: all that runs on whole images, as one network."""

    def __init__(self, run: Compiled) -> None:
        super().__init__()
        self.run = run

    def forward(self, x: Tensor) -> _Maps:
        maps, dense = self.run(x)
        maps = _Maps(maps)
        maps.dense = dense
        return maps


def compiled(model: nn.Module, backend: str, example: Tensor, precision: str = 'f32') -> nn.Module:
    """Fold a model, export its networks, and let a runtime run them; everything else stays as it is.

    A detector, segmentor or classifier of OpenMMLab keeps its own way from data to predictions (``test_step``,
    inferencers, runners); its backbone, neck and dense head run as one network, each RoI head as one of its own,
    RoIAlign by `region_means`. Of models whose heads take more than maps (DETR and the like), backbone and neck run
    there, the heads in PyTorch. Any other module is one network, and takes and returns tensors as it does.

    Args:
        model (nn.Module): Stays as it is.
        backend (str): One of `mmsterf.deploy.BACKENDS`, or 'openvino+nnpack': OpenVINO for the backbone, NNPACK for
            neck and heads.
        example (Tensor): An input of the network, as a data preprocessor gives it: (N, C, H, W), or a sequence. The
            number of images, height and width of later ones are free.
        precision (str): 'f32', or 'bf16' with OpenVINO.

    Returns:
        nn.Module: A copy in evaluation mode; ``differences`` has the difference of each network from PyTorch, for the
        example, by name.

    Raises:
        InvalidInput: If a network cannot be exported or gives other results, or the runtime is absent.

    Example:
        >>> model = compiled(MetaSDT('tiny'), 'openvino', torch.rand(1, 3, 224, 224))
        >>> [tuple(x.shape) for x in model(torch.rand(1, 3, 64, 96))]
        [(1, 32, 16, 24), (1, 64, 8, 12), (1, 128, 4, 6), (1, 192, 4, 6)]
    """
    check_backend(backend, precision)
    places = {parameter.device for parameter in model.parameters()}
    model = (fold_norms(model).float() if backend == 'nnpack' else prepared(model)).cpu()
    first, _, backend = backend.rpartition('+')
    if not hasattr(model, 'extract_feat'):
        run = Compiled(model, first or backend, example, precision)
        run.differences = {type(model).__name__: run.difference}
        return run
    runs = {}
    if first:
        runs[f'backbone in {first}'] = model.backbone = Compiled(model.backbone, first, example, precision)
    runs.update(_compiled_roi_heads(model, backend, precision))
    _compile_front(model, backend, example, precision, runs)
    share_regions(model)
    model.differences = {name: run.difference for name, run in runs.items()}
    return model.to(places.pop()) if len(places) == 1 else model


def _compile_front(model: nn.Module, backend: str, example: Tensor, precision: str, done: dict) -> None:
    name = dense_head(model, needed=False)
    head = getattr(model, name) if name else None

    def function(m: nn.Module, x: Tensor) -> tuple:
        maps = m.extract_feat(x)
        return maps, (getattr(m, name)(maps) if name else ())

    run = Compiled(model, backend, example, precision, function)
    parts = ['backbone', *(['neck'] if getattr(model, 'with_neck', False) else []), *([name] if name else [])]
    done[' + '.join(parts)] = run
    model.backbone = _Front(run)
    if getattr(model, 'with_neck', False):
        model.neck = nn.Identity()
    if name == 'decode_head':
        head.forward = _logits
        model.postprocess_result = partial(_postprocess, model.postprocess_result)
    elif head is not None:
        head.forward = _dense


def _dense(maps: _Maps, *_):
    """The dense head's outputs, which came with the maps."""
    return maps.dense


def _logits(maps: _Maps, *_) -> Tensor:
    """A segmentor's logits, those of a pixel side by side: PyTorch resizes and compares them faster so."""
    return maps.dense.contiguous(memory_format=torch.channels_last)


def _postprocess(plain: Callable, logits: Tensor, samples: Optional[list] = None) -> list:
    """In the place of a segmentor's `postprocess_result`, which resizes maps that have their size as well."""
    if not samples or not all(_has_its_size(sample.metainfo, logits.shape[-2:]) for sample in samples):
        return plain(logits, samples)
    for sample, found in zip(samples, plain(logits)):
        sample.set_data(dict(found.items()))
    return samples


def _has_its_size(meta: dict, size: tuple) -> bool:
    """Whether logits need neither be cut, nor flipped, nor resized to those of the image."""
    padding = meta.get('img_padding_size', meta.get('padding_size', ()))
    return tuple(meta.get('ori_shape', ())[:2]) == tuple(size) and not any(padding) and not meta.get('flip')


def _compiled_roi_heads(model: nn.Module, backend: str, precision: str) -> dict:
    """Let the runtime run each RoI head, and return what runs them by name."""
    found = {}
    for name, (head, shape, time_steps) in roi_heads(model).items():
        example = torch.randn(2 * time_steps, *shape)
        found[name] = Compiled(head, backend, example, precision, free='batch')
        head.forward = _unless_empty(found[name], head.forward)
    return found


def _unless_empty(run: Callable, plain: Callable) -> Callable:
    """Runtimes need a region to look at; heads know what to make of none."""
    return lambda x: run(x) if len(x) else plain(x)


def describe_differences(model: nn.Module, backend: str) -> str:
    """A line on what runs where, for people: networks of a `compiled` model and their differences from PyTorch."""
    parts = ', '.join(f'{name} ({value:.2g})' for name, value in model.differences.items())
    return f'{backend} runs {parts}: differences from PyTorch'


def inputs_of(model: nn.Module, data) -> Tensor:
    """The network's input, as a model's data preprocessor makes it of a batch.

    Raises:
        InvalidInput: If that is no tensor.
    """
    inputs = model.data_preprocessor(data, False)['inputs']
    if not isinstance(inputs, Tensor):
        raise InvalidInput(f'the data preprocessor gives {type(inputs).__name__}, where a network takes one tensor')
    return inputs
