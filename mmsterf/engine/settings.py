"""Settings of a config that would crash late or train nothing, told before a model is built."""

import math
from collections.abc import Sequence
from typing import Any, Optional

from mmengine.config import Config
from mmengine.registry import OPTIMIZERS

from mmsterf.errors import InvalidInput

from .cfg_keys import arguments_of, nearest

_NEEDED = {
    'train': ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper'),
    'test': ('model', 'test_dataloader', 'test_evaluator'),
}
_MODES = ('whole', 'slide')
_IOU_METRICS = ('mIoU', 'mDice', 'mFscore')


def check_settings(cfg: Config, mode: str) -> None:
    """Refuse what is missing, of the wrong kind or out of range.

    Args:
        cfg (Config): Config as it was read; nothing is changed but `test_cfg` and `val_cfg` that were left out.
        mode (str): 'train' or 'test'.

    Raises:
        InvalidInput: Names the key, its value and what is valid.
    """
    lacking = [key for key in _NEEDED[mode] if not cfg.get(key)]
    if lacking:
        near = nearest(lacking[0], [key for key in cfg if key not in _NEEDED[mode]], most=0)
        raise InvalidInput(f'the config has no {" and no ".join(lacking)}, which {mode}ing needs{near}')
    for key in (
        'model',
        'train_cfg',
        'val_cfg',
        'test_cfg',
        'optim_wrapper',
        'default_hooks',
        'env_cfg',
        'visualizer',
        'model_wrapper_cfg',
    ):
        _kind(key, cfg.get(key), dict)
    for key in ('custom_hooks', 'vis_backends'):
        _kind(key, cfg.get(key), (list, tuple))
    test = cfg.model.get('test_cfg')
    if cfg.get('default_scope') == 'mmseg' and isinstance(test, dict) and test.get('mode') not in (None, *_MODES):
        raise InvalidInput(f'model.test_cfg.mode is {test.mode!r}: must be {" or ".join(_MODES)}')
    for key in (f'{split}_evaluator' for split in ('val', 'test')):
        metrics = cfg.get(key)
        for metric in metrics if isinstance(metrics, (list, tuple)) else [metrics]:
            wanted = metric.get('iou_metrics') if isinstance(metric, dict) else None
            if isinstance(wanted, (list, tuple)) and (unknown := [name for name in wanted if name not in _IOU_METRICS]):
                raise InvalidInput(f'{key}.iou_metrics has {unknown[0]!r}: valid are {", ".join(_IOU_METRICS)}')
    for i, hook in enumerate(cfg.get('custom_hooks') or []):
        if not hasattr(hook, 'before_run') and not (isinstance(hook, dict) and hook.get('type')):
            raise InvalidInput(f'custom_hooks.{i} is {hook!r}: must be a dict with a type')
    if not cfg.model.get('type'):
        raise InvalidInput('model has no type: it names the detector or segmentor')
    splits = ('train', 'val') if mode == 'train' else ('test',)
    for split in splits:
        check_loader(cfg.get(f'{split}_dataloader'), f'{split}_dataloader')
    if mode == 'train':
        pair = {key: bool(cfg.get(key)) for key in ('val_dataloader', 'val_evaluator')}
        if len(set(pair.values())) > 1:
            there, absent = sorted(pair, key=pair.get, reverse=True)
            raise InvalidInput(f'the config has {there} but no {absent}: validation needs both, or neither')
        _check_training(cfg)
    _check_number(cfg.get('randomness') or {}, 'randomness', 'seed', least=0, most=2**32 - 1, whole=True)


def check_loader(loader: Any, name: str) -> None:
    """Refuse a data loader's config that nothing can be built of."""
    if loader is None:
        return
    _kind(name, loader, dict)
    if not isinstance(loader.get('dataset'), dict):
        raise InvalidInput(f'{name}.dataset is {loader.get("dataset")!r}: must be a dict with the type of a data set')
    if 'batch_size' not in loader and 'batch_sampler' not in loader:
        raise InvalidInput(f'{name} has no batch_size')
    _check_number(loader, name, 'batch_size', least=1, whole=True)
    _check_number(loader, name, 'num_workers', least=0, most=4096, whole=True)
    if 'num_workers' not in loader:
        loader['num_workers'] = 0
    _check_dataset(loader['dataset'], f'{name}.dataset')


def _check_dataset(dataset: Any, name: str) -> None:
    _kind(name, dataset, dict)
    if 'type' not in dataset:
        raise InvalidInput(f'{name} has no type: it names the class of the data set')
    inner = [(key, dataset[key]) for key in ('dataset', 'datasets') if key in dataset]
    for key, children in inner:
        several = isinstance(children, (list, tuple))
        for i, child in enumerate(children if several else [children]):
            _check_dataset(child, f'{name}.{key}' + (f'.{i}' if several else ''))
        if several and not children:
            raise InvalidInput(f'{name}.{key} is empty: it needs one data set at least')
    _check_number(dataset, name, 'times', least=1, whole=True)
    if inner or 'pipeline' not in dataset:
        return
    pipeline = dataset['pipeline']
    if not isinstance(pipeline, (list, tuple)) or not pipeline:
        raise InvalidInput(f'{name}.pipeline is {pipeline!r}: must be a list of steps, with one at least')
    for i, step in enumerate(pipeline):
        if not callable(step) and not (isinstance(step, dict) and step.get('type')):
            raise InvalidInput(f'{name}.pipeline.{i} is {step!r}: must be a dict with a type')


def _check_training(cfg: Config) -> None:
    loop = cfg.train_cfg
    for key in ('max_epochs', 'max_iters', 'val_interval'):
        _check_number(loop, 'train_cfg', key, least=1, whole=True)
    _check_number(loop, 'train_cfg', 'val_begin', least=0, whole=True)
    if 'max_epochs' not in loop and 'max_iters' not in loop:
        raise InvalidInput('train_cfg has neither max_epochs nor max_iters: one tells how long to train')
    wrapper = cfg.optim_wrapper
    if ('constructor' not in wrapper and 'optimizer' in wrapper) or 'type' in wrapper:
        if not isinstance(wrapper.get('optimizer', {}), dict):
            raise InvalidInput(f'optim_wrapper.optimizer is {wrapper.optimizer!r}: must be a dict with a type')
        optimizer = wrapper.get('optimizer') or {}
        _check_number(optimizer, 'optim_wrapper.optimizer', 'lr', least=0)
        _check_number(optimizer, 'optim_wrapper.optimizer', 'weight_decay', least=0)
        _check_number(wrapper, 'optim_wrapper', 'accumulative_counts', least=1, whole=True)
        _kind('optim_wrapper.clip_grad', wrapper.get('clip_grad'), dict)
        _check_number(wrapper.get('clip_grad') or {}, 'optim_wrapper.clip_grad', 'max_norm', least=0)
        if isinstance(kind := optimizer.get('type'), str) and arguments_of(kind, cfg, OPTIMIZERS) == set():
            known = OPTIMIZERS.module_dict
            raise InvalidInput(
                f'optim_wrapper.optimizer.type: {kind!r} is no optimizer that is registered{nearest(kind, known)}'
            )
    if isinstance((cfg.get('log_processor') or {}).get('window_size'), int):
        _check_number(cfg.log_processor, 'log_processor', 'window_size', least=1, whole=True)
    schedulers = cfg.get('param_scheduler')
    if isinstance(schedulers, (list, tuple)):
        for i, scheduler in enumerate(schedulers):
            _kind(f'param_scheduler.{i}', scheduler, dict)
            begin, end = scheduler.get('begin', 0), scheduler.get('end')
            for key in ('begin', 'end'):
                _check_number(scheduler, f'param_scheduler.{i}', key, least=0, whole=True)
            if end is not None and begin >= end:
                raise InvalidInput(f'param_scheduler.{i}: begin {begin} must be smaller than end {end}')
    for name, hook in (cfg.get('default_hooks') or {}).items():
        if isinstance(hook, dict) and name in ('checkpoint', 'logger'):
            _check_number(hook, f'default_hooks.{name}', 'interval', least=-1, whole=True)
            if hook.get('interval') == 0:
                raise InvalidInput(f'default_hooks.{name}.interval is 0: must be at least 1, or -1 for never')
        elif hook is not None and not isinstance(hook, dict) and not hasattr(hook, 'before_run'):
            raise InvalidInput(f'default_hooks.{name} is {hook!r}: must be a dict with a type, or None')


def _kind(name: str, value: Any, kinds) -> None:
    if value is not None and not isinstance(value, kinds):
        wanted = 'dict' if kinds is dict else 'list'
        raise InvalidInput(f'{name} is {value!r}: must be a {wanted}')


def _check_number(
    node: dict, name: str, key: str, least: float, most: Optional[float] = None, whole: bool = False
) -> None:
    value = node.get(key)
    if value is None:
        return
    kinds: Sequence = (int,) if whole else (int, float)
    bound = f'at least {least}' + (f' and at most {most}' if most is not None else '')
    kind = 'whole number' if whole else 'finite number'
    if isinstance(value, bool) or not isinstance(value, tuple(kinds)) or not math.isfinite(value):
        raise InvalidInput(f'{name}.{key} is {value!r}: must be a {kind} of {bound}')
    if value < least or (most is not None and value > most):
        raise InvalidInput(f'{name}.{key} is {value!r}: must be {bound}')
