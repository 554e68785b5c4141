"""Models that are plain Python, for the command line: timm's, torchvision's, and what a function in a file returns."""

import ast
import difflib
import importlib.util
import inspect
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple, Optional

import torch
from torch import nn

from mmsterf.engine.inputs import Pictures
from mmsterf.errors import InvalidInput, shortened

from . import shapes
from .inputs import Noise
from .layers import Layer
from .pictures import PreparedPictures, normalised
from .running import foreign, run
from .shapes import InputShape, Size

KINDS = 'timm:NAME, torchvision:NAME or FILE.py:FUNCTION, each with keyword arguments if needed, as in NAME(width=8)'
_SPEC = re.compile(r'(?P<source>timm|torchvision|.+\.py):(?P<name>[\w.-]+)(?P<arguments>\(.*\))?', re.S)
_IMAGENET = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
_DOWNLOADING = ('fasterrcnn', 'maskrcnn', 'keypointrcnn', 'retinanet', 'fcos', 'ssd', 'fcn', 'deeplabv3', 'lraspp')
"""Models of torchvision that take the weights of their backbone from the network unless told not to."""
_MOST_STAGES = 6


class Spec(NamedTuple):
    """What a plain model is: ``timm:resnet50(in_chans=1)`` is ('timm', 'resnet50', {'in_chans': 1})."""

    source: str
    name: str
    arguments: Mapping

    def brings_weights(self) -> bool:
        """Whether it may come with weights that are not random."""
        return self.source.endswith('.py') or any(self.arguments.get(k) for k in ('pretrained', 'weights'))


def spec_of(text: str) -> Optional[Spec]:
    """Read the name of a plain model; None if it is none.

    Raises:
        InvalidInput: If its arguments are not keyword arguments with plain values.
    """
    found = _SPEC.fullmatch(text)
    if not found or '::' in text:
        return None
    try:
        call = ast.parse(f'f{found["arguments"] or "()"}', mode='eval').body
        if not isinstance(call, ast.Call) or call.args or any(k.arg is None for k in call.keywords):
            raise ValueError
        arguments = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError):
        raise InvalidInput(
            f'--model {text}: arguments are written as in Python, with names and plain values: NAME(width=8, pool=True)'
        ) from None
    return Spec(found['source'], found['name'], arguments)


def build(spec: Spec, checkpoint: Optional[str] = None, seed: int = 0) -> nn.Module:
    """Build a plain model, in evaluation mode, with the weights of a checkpoint or those it is made with.

    Nothing is downloaded, unless the arguments ask for it (``timm:resnet50(pretrained=True)``).

    Raises:
        InvalidInput: If there is no such model, it does not take the arguments, or the checkpoint does not fit.
    """
    torch.manual_seed(seed)
    make = {'timm': _timm, 'torchvision': _torchvision}.get(spec.source, _file)
    model = make(spec)
    if not isinstance(model, nn.Module):
        raise InvalidInput(
            f'--model {spec.source}:{spec.name}: is or returns a {type(model).__name__}, not an nn.Module'
        )
    if checkpoint is not None:
        from mmsterf.checkpoint import read, state_dict_of
        from mmsterf.checkpoint.fitting import load_fitting

        state = {k.removeprefix('module.'): v for k, v in state_dict_of(read(checkpoint)).items()}
        load_fitting(model, state, checkpoint)
    model.eval()
    return model


def _timm(spec: Spec):
    try:
        import timm
    except ImportError as error:
        raise InvalidInput(f'--model timm:{spec.name}: the package timm cannot be imported ({error})') from None
    if not timm.is_model(spec.name):
        near = difflib.get_close_matches(spec.name, timm.list_models(), 4, 0.4)
        raise InvalidInput(f'--model timm:{spec.name}: timm has no such model; near: {", ".join(near) or "none"}')
    return _called(f'timm:{spec.name}', timm.create_model, {'model_name': spec.name, **spec.arguments})


def _torchvision(spec: Spec):
    name = f'torchvision:{spec.name}'
    try:
        from torchvision import models
    except (ImportError, RuntimeError) as error:  # RuntimeError: a build for another PyTorch
        reason = shortened(str(error), 120)
        raise InvalidInput(f'--model {name}: torchvision.models cannot be imported here ({reason})') from None
    if spec.name not in models.list_models():
        near = difflib.get_close_matches(spec.name, models.list_models(), 4, 0.4)
        raise InvalidInput(f'--model {name}: torchvision has no such model; near: {", ".join(near) or "none"}')
    offline = {'weights_backbone': None} if spec.name.startswith(_DOWNLOADING) else {}
    return _called(name, models.get_model, {'name': spec.name, 'weights': None, **offline, **spec.arguments})


def _file(spec: Spec):
    path = Path(spec.source)
    name = f'--model {spec.source}:{spec.name}'
    if not path.is_file():
        raise InvalidInput(f'{name}: {path} is not a file')
    sys.path.insert(0, str(path.resolve().parent))  # its neighbours can be imported, as when it is run
    module_name = f'_mmsterf_model_{path.stem}'
    place = importlib.util.spec_from_file_location(module_name, path)
    module = importlib.util.module_from_spec(place)
    sys.modules[module_name] = module
    with _theirs(name):
        place.loader.exec_module(module)
    found = getattr(module, spec.name, None)
    if found is None:
        own = [
            n for n, v in vars(module).items() if not n.startswith('_') and getattr(v, '__module__', '') == module_name
        ]
        raise InvalidInput(f'{name}: {path.name} has no {spec.name}; it has {", ".join(own) or "no functions"}')
    if isinstance(found, nn.Module) or not callable(found):
        return found
    return _called(name.removeprefix('--model '), found, spec.arguments)


def _called(name: str, function, arguments: Mapping):
    try:
        inspect.signature(function).bind(**arguments)
    except TypeError as error:
        raise InvalidInput(f'--model {name}: {error}') from None
    with _theirs(f'--model {name}'):
        return function(**arguments)


@contextmanager
def _theirs(name: str) -> Iterator[None]:
    """Say in a sentence where code that makes a model fails."""
    try:
        yield
    except Exception as error:
        if said := foreign(error):
            raise InvalidInput(f'{name}: {said}') from error
        raise


def input_shape(model: nn.Module, size: Optional[Size] = None, **how) -> InputShape:
    """Return the shape of a model's input (`mmsterf.erf.shapes.input_shape`); without `size`, timm's word counts."""
    stated = tuple(_timms(model).get('input_size') or ())
    return shapes.input_shape(model, size=size, usual=stated[1:] or shapes.USUAL, **how)


def normalisation(model: nn.Module) -> tuple[Sequence[float], Sequence[float], list[str]]:
    """Mean and standard deviation of images of 0 to 255, RGB, and what has to be said about them."""
    stated = _timms(model)
    if stated.get('mean'):
        return *([255 * v for v in stated[k]] for k in ('mean', 'std')), []
    mean, std = _IMAGENET
    note = f"images are normalised by ImageNet's mean {mean} and std {std}: --mean and --std give others"
    return mean, std, [note]


def source_of(model: nn.Module, args, num: int, seed: int, time_steps: int, input_time: str, forward=run):
    """Return the inputs that the command line names, for a plain model: noise, or pictures."""
    shape = input_shape(model, args.size, time_steps=time_steps, input_time=input_time, forward=forward)
    channels, size = shape.channels, shape.size
    steps = time_steps if input_time != 'image' else 1
    if list(args.input) == ['noise']:
        return Noise(num, shape.sample, seed)
    if list(args.input) == ['dataset']:
        raise InvalidInput('--input dataset: a plain model has no data set; give images, folders, globs or videos')
    if channels not in (1, 3):
        raise InvalidInput(f'--input {args.input[0]}: the model takes {channels} channels, and pictures have 1 or 3')
    mean, std, notes = normalisation(model)
    mean, std = args.mean or mean, args.std or std
    for option, values in (('--mean', mean), ('--std', std)):
        if len(values) not in (1, 3):
            raise InvalidInput(f'{option}: takes 1 or 3 numbers, got {len(values)}')
    notes = [] if args.mean and args.std else notes
    return PreparedPictures(Pictures(args.input, num, steps), normalised(mean, std, channels), size, notes)


def _timms(model: nn.Module) -> Mapping:
    stated = getattr(model, 'pretrained_cfg', None)
    return stated if isinstance(stated, Mapping) else {}


def stages(layers: Mapping[str, Layer]) -> list[str]:
    """Return the layers to look at by default: the stages of a model, or four layers evenly through its depth.

    Stages are children of the module whose children have most different sizes of maps, the last of each size. Where
    there are fewer than three sizes (a ViT has one), the layers are taken from the longest row of blocks.
    """
    maps = {n: layer for n, layer in layers.items() if ':' not in n and n != '.' and max(layer.grid) > 1}
    maps = {n: layer for n, layer in maps.items() if not isinstance(layer.module, nn.Identity)}
    if not maps:
        return ['.'] if '.' in layers else list(layers)[-1:]
    children: dict = {}
    for name in maps:
        children.setdefault(name.rpartition('.')[0], []).append(name)
    rows = [{maps[name].grid: name for name in names} for names in children.values()]
    last = maps[list(maps)[-1]].grid
    order = {name: i for i, name in enumerate(layers)}

    def behind(row: list, other: list, i: int) -> bool:
        return bool(row) and order[row[i]] > order[other[-1]] and not row[i].startswith(f'{other[-1]}.')

    rows = [list(row.values()) for row in rows if last in row]
    chosen = max(rows, key=len)
    for row in rows:  # a patch embedding has sizes, too
        chosen = row if len(row) == len(chosen) and behind(row, chosen, 0) else chosen
    late = [names for names in children.values() if any(maps[n].grid == last for n in names)]  # a stem is no stage
    longest = max((_numbered(names, maps) for names in late), key=len)
    if (len(chosen) < 3 or behind(longest, chosen, -1)) and len(longest) >= 4:
        return [longest[(i + 1) * len(longest) // 4 - 1] for i in range(4)]
    return chosen[-_MOST_STAGES:]


def _numbered(names: list[str], maps: Mapping[str, Layer]) -> list[str]:
    """Return the longest row of numbered children: 0, 1, ...; or block_0, block_1, ... of one type."""
    rows: dict = {}
    for name in names:
        stem, number = re.fullmatch(r'(.*?)(\d*)', name.rpartition('.')[2]).groups()
        if number:
            rows.setdefault((stem, type(maps[name].module) if stem else None), []).append(name)
    return max(rows.values(), key=len, default=[])
