"""Build a model from any mmdet, mmseg or mmsterf config for analysis, and the inputs to analyse it with."""

from collections.abc import Callable, Mapping, Sequence
from typing import Optional, Union

import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from torch import nn

from mmsterf.checkpoint import convert, is_published, read, state_dict_of
from mmsterf.checkpoint.fitting import load_fitting
from mmsterf.engine.cfg_keys import merge_options
from mmsterf.engine.cfg_options import parse_options
from mmsterf.engine.config import read_config
from mmsterf.engine.inputs import Pictures
from mmsterf.erf import Noise
from mmsterf.erf.shapes import Size, timing
from mmsterf.errors import InvalidInput

from .features import Images, run_features
from .pictures import prepared, preprocessor_of
from .shapes import input_shape
from .stock import build, part_of, weights_named


def load_model(
    config: str,
    checkpoint: Optional[str],
    seed: int = 0,
    options: Union[Mapping, Sequence[str]] = (),
    named: bool = False,
) -> tuple[Config, nn.Module]:
    """Build the model of a config, in evaluation mode, with the weights of a checkpoint or random ones.

    Nothing is downloaded unless `named` asks for it: pretrained weights that the config names are left out. Of trackers
    and of teachers with students, `part_of` says what is analysed; `cfg.model` is then the config of that part.

    Args:
        config: File, or ``package::path`` inside an installed package (``mmdet::...``).
        checkpoint: File; published names are converted. None for random weights.
        seed: Of random weights.
        options: Changes, a dict or ``KEY=VALUE`` each.
        named: Without a checkpoint, load the weights that the config names (`weights_of`); what they leave is random.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If the config has no model, weights do not fit or cannot be loaded, or none are named.
    """
    cfg = read_config(config)
    merge_options(cfg, parse_options(options))
    if not isinstance(cfg.get('model'), dict):
        raise InvalidInput(
            f'{config} has no `model`: it is a part of other configs; name one of those that build on it'
        )
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        cfg.model, prefix = part_of(cfg.model)
        names = weights_of(cfg) if named and checkpoint is None else []
        if named and checkpoint is None and not names:
            raise InvalidInput(
                f'{config} names no weights (init_cfg, pretrained, load_from): give a checkpoint, or take random ones'
            )
        model = build(cfg.model, random=checkpoint is None, named=bool(names))
    if names and cfg.get('load_from'):
        checkpoint = cfg.load_from
    if checkpoint is not None:
        _load(model, checkpoint, prefix)
    model.config_key = 'model.detector' if prefix else 'model'  # where options for it belong
    model.eval()  # not chained: stock Swin returns nothing
    return cfg, model


def weights_of(cfg: Config) -> list[str]:
    """Return the weights that a config names: `load_from`, or what parts of its model start from."""
    return [cfg.load_from] if cfg.get('load_from') else list(dict.fromkeys(weights_named(cfg.model)))


def _load(model: nn.Module, path: str, prefix: str = '') -> None:
    state = {k.removeprefix('module.'): v for k, v in state_dict_of(read(path)).items()}
    if prefix and any(k.startswith(prefix) for k in state):
        state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
    if is_published(state):
        state = convert(state)[0]
    part, backbone = model, getattr(model, 'backbone', None)
    if isinstance(backbone, nn.Module) and not any(k.startswith('backbone.') for k in state):
        part = backbone  # weights of a backbone alone
    load_fitting(part, state, path, ' of the config')


def inputs_of(
    cfg: Config,
    model: nn.Module,
    source: Sequence[str],
    num: int,
    size: Optional[Size] = None,
    seed: int = 0,
    time_steps: Optional[int] = None,
    input_time: str = 'auto',
    forward: Callable = run_features,
):
    """Return inputs that a model takes: noise, images of the test or validation set, or others.

    Args:
        cfg, model: From `load_model`.
        source: ['noise'], ['dataset'], or images, folders, globs and videos (see `mmsterf.engine.inputs`).
        num: How many.
        size: (H, W); default see `input_shape`, and for images that of the first.
        seed: Of noise.
        time_steps, input_time, forward: See `input_shape`.

    Raises:
        ValueError: If the config has no data set, an input is not there, or no image or video; or of `input_shape`.
    """
    how = {'size': size, 'time_steps': time_steps, 'input_time': input_time}
    if list(source) == ['noise']:
        return Noise(num, input_shape(cfg, model, forward, **how).sample, seed)
    time_steps, input_time = timing(model, time_steps, input_time)
    inputs = _images(cfg, model, source, num, size, 1 if input_time == 'image' else time_steps)
    input_shape(cfg, model, forward, sample=inputs[0], **how)
    return inputs


def _images(cfg, model, source, num, size, frames):
    if list(source) != ['dataset']:
        return prepared(cfg, model, Pictures(source, num, frames), size)
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader')
    if not loader:
        raise ValueError('the config has neither test_dataloader nor val_dataloader: use --input noise')
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        return Images(DATASETS.build(loader['dataset']), preprocessor_of(cfg, model)[0], num, size)
