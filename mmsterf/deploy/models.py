"""Whole models whose networks another runtime runs: detectors, segmentors, classifiers, and plain modules."""

from functools import partial
from typing import Callable, Optional

import torch
from torch import Tensor, nn

from mmsterf.errors import InvalidInput
from mmsterf.snn import fold_norms

from .parts import dense_head, prepared, roi_heads
from .regions import share_regions
from .running import Compiled, fastest
from .runtimes import check_backend

_MANY = 100
"""Regions that a head is timed with where the config does not limit them."""


class _Maps(tuple):
    """Maps behind the neck, and what the dense head makes of them."""

    dense = None


class _Hidden:
    """In the place of maps that stay in the runtime: what the dense head made of them alone."""

    def __init__(self, dense) -> None:
        self.dense = dense

    def __getitem__(self, *_):
        raise InvalidInput('the maps of a compiled segmentor stay in the runtime: compile its backbone to have them')

    __iter__ = __len__ = __getitem__


class _Front(nn.Module):
    """In the place of a backbone: all that runs on whole images, as one network."""

    def __init__(self, run: Compiled) -> None:
        super().__init__()
        self.run = run

    def forward(self, x: Tensor):
        maps, dense = self.run(x)
        if not maps:
            return _Hidden(dense)
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
        backend (str): One of `mmsterf.deploy.BACKENDS`, or 'openvino+nnpack': OpenVINO for the backbone, and for neck
            and heads that or NNPACK, what is faster here; `differences` has which.
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
    backends = backend.split('+')
    if not hasattr(model, 'extract_feat'):
        run = Compiled(model, backends[0], example, precision)
        run.differences = {type(model).__name__: run.difference}
        return run
    runs = _compiled_roi_heads(model, backends, precision)
    runs.update(_compiled_front(model, backends, example, precision))
    share_regions(model)
    model.differences = {name: run.difference for name, run in runs.items()}
    return model.to(places.pop()) if len(places) == 1 else model


def _compiled_front(model: nn.Module, backends: list, example: Tensor, precision: str) -> dict:
    """Let the runtime run all that looks at whole images, and return what runs it by name."""
    name = dense_head(model, needed=False)
    head = getattr(model, name) if name else None
    logits_alone = name == 'decode_head'

    def function(m: nn.Module, x: Tensor) -> tuple:
        maps = m.extract_feat(x)
        return (() if logits_alone else maps), (getattr(m, name)(maps) if name else ())

    # Resizing and comparing logits, and RoIAlign, go through all channels of a pixel.
    settings = dict(function=function, channels_last=logits_alone or hasattr(model, 'roi_head'))
    behind = [*(['neck'] if getattr(model, 'with_neck', False) else []), *([name] if name else [])]
    runs = {' + '.join(['backbone', *behind]): Compiled(model, backends[0], example, precision, **settings)}
    if len(backends) > 1 and behind:
        run, (part, whole) = Compiled(model.backbone, backends[0], example, precision), runs.popitem()
        model.backbone = run
        rest = Compiled(model, backends[1], example, precision, **settings)
        if fastest({part: whole, 'rest': rest}, example) == part:
            runs = {f'{part} in {backends[0]}': whole}
        else:
            runs = {f'backbone in {backends[0]}': run, f'{" + ".join(behind)} in {backends[1]}': rest}
    *_, last = runs.values()
    model.backbone = _Front(last)
    if getattr(model, 'with_neck', False):
        model.neck = nn.Identity()
    if head is not None:
        head.forward = _dense
    if logits_alone:
        model.postprocess_result = partial(_postprocess, model.postprocess_result)
    return runs


def _dense(maps, *_):
    """The dense head's outputs, which came with the maps."""
    return maps.dense


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


def _compiled_roi_heads(model: nn.Module, backends: list, precision: str) -> dict:
    """Let the runtime run each RoI head, and return what runs them by name."""
    found = {}
    for name, (head, shape, time_steps) in roi_heads(model).items():
        example = torch.randn(2 * time_steps, *shape)
        runs = {backend: Compiled(head, backend, example, precision, free='batch') for backend in backends}
        chosen = fastest(runs, torch.randn(_regions(model, name) * time_steps, *shape))
        found[f'{name} in {chosen}' if len(runs) > 1 else name] = runs[chosen]
        head.forward = _unless_empty(runs[chosen], head.forward)
    return found


def _regions(model: nn.Module, name: str) -> int:
    """How many regions a RoI head sees at most: proposals, or objects that have masks."""
    settings = (getattr(model, 'test_cfg', None) or {}).get('rcnn' if 'mask' in name else 'rpn') or {}
    number = settings.get('max_per_img', 0)
    return number if number > 0 else _MANY  # -1 sets no limit


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
