"""What is the user's in errors out of mmengine, mmdet, mmseg and PyTorch, told from where they were raised."""

import inspect
import linecache
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config
from mmengine.registry import Registry

from mmsterf.errors import (
    EXPLAINERS,
    InvalidInput,
    frames_of,
    is_library,
    is_ours,
    message,
    raised_by,
    sentence,
    shortened,
)

from .cfg_keys import arguments_of, nearest

_UNEXPECTED = re.compile(r"got an unexpected keyword argument '(\w+)'")
_LACKING = re.compile(r'missing \d+ required (?:positional|keyword-only) arguments?: (.*)')
_FROM_VALUES = (TypeError, ValueError, ZeroDivisionError, OverflowError)
"""What wrong values of the right names end in, also in code of ours that does not check them itself."""
_RUNNER = re.compile(r'mmengine.runner.(runner|loops|_flexible_runner)\.py$')
_PARTS = {
    'build_train_loop': 'train_cfg',
    'build_val_loop': 'val_cfg',
    'build_test_loop': 'test_cfg',
    'build_optim_wrapper': 'optim_wrapper',
    'build_param_scheduler': 'param_scheduler',
    'build_visualizer': 'visualizer',
    'build_log_processor': 'log_processor',
    'build_evaluator': 'evaluator',
    'register_default_hooks': 'default_hooks',
    'register_custom_hooks': 'custom_hooks',
    'setup_env': 'env_cfg',
    'wrap_model': 'model_wrapper_cfg',
    'set_randomness': 'randomness',
    'scale_lr': 'auto_scale_lr',
    '_init_model_weights': 'model.init_cfg',
    'build_logger': 'log_level',
}
_SIZES = re.compile(
    r'expected input.* to have|must match the size of|shapes cannot be multiplied|size mismatch|'
    r'Sizes of tensors must match|Kernel size can.t be greater|output size is too small|'
    r'Expected \d+D|not divisible by|is invalid for input of size',
    re.S,
)


@contextmanager
def reading(config: str):
    """Turn what goes wrong while a config is read into one line with its file and line.

    A config is the user's code, and mmengine runs it.

    Raises:
        InvalidInput: For every error but those of mmsterf's own code.
    """
    try:
        yield
    except Exception as error:
        if sentence(error) is not None and not isinstance(error, OSError):
            raise
        frames = frames_of(error.__traceback__)
        if is_ours(frames[-1].tb_frame.f_code.co_filename) and len(frames) > 2:
            raise
        raise InvalidInput(_config_error(error, frames, config)) from error


def _config_error(error: Exception, frames: list, config: str) -> str:
    if isinstance(error, RecursionError):
        return f'config {config}: its _base_ files inherit from each other in a circle'
    files = [f.tb_frame.f_locals.get('filename') for f in frames if f.tb_frame.f_code.co_name in _READERS]
    file = next((str(name) for name in reversed(files) if name), config)
    syntax = error if isinstance(error, SyntaxError) and error.lineno else error.__context__
    if isinstance(syntax, SyntaxError) and isinstance(error, SyntaxError):
        return f'config {file}, line {syntax.lineno}: {syntax.msg}'
    if isinstance(error, FileNotFoundError):
        base = error.filename or file
        below = [str(name) for name in files if name and str(name) != str(base)]
        there = f'; {Path(base).name}.py is one' * Path(f'{base}.py').is_file()
        return f'config {config}: {base} is not a file' + (f' (a _base_ of {below[-1]})' if below else '') + there
    lines = [f.tb_lineno for f in frames if f.tb_frame.f_code.co_filename in ('', file)]
    line = f', line {lines[-1]}' if lines else ''
    text = message(error) if isinstance(error, (ValueError, OSError)) else f'{type(error).__name__}: {message(error)}'
    return f'config {file}{line}: {shortened(text)}'


_READERS = ('_file2dict', '_parse_lazy_import', '_validate_py_syntax')


def explain(error: BaseException) -> Optional[str]:
    """What to tell the user about an error of libraries; None if it may be a bug of ours.

    Keys are those of the outermost config that a function on the way had as `cfg`.
    """
    frames = frames_of(error.__traceback__)
    cfg = next((c for f in frames if isinstance(c := f.tb_frame.f_locals.get('cfg'), Config)), Config())
    codes = [(f.tb_frame.f_code.co_filename, f.tb_frame.f_code.co_name) for f in frames]
    built = [
        i for i, (file, name) in enumerate(codes) if name == 'build_from_cfg' and Path(file).parent.name == 'registry'
    ]
    if built:
        return _build_error(error, frames[built[-1] :], cfg)
    part = next((_PARTS[name] for file, name in reversed(codes) if name in _PARTS and _RUNNER.search(file)), None)
    loader = [f for f, (_, name) in zip(frames, codes) if name == 'build_dataloader']
    if loader:
        part = _path_of(loader[-1].tb_frame.f_locals.get('dataloader') or {}, cfg) or 'a data loader'
    file, deliberate = raised_by(error)
    # The counter of operations stands between every operation and its caller.
    counted = Path(file).parts[-2:] == ('snn', 'operations.py') and not deliberate
    if not counted and (is_ours(file) or (not is_library(file) and not deliberate)):
        return None
    mismatch = isinstance(error, TypeError) and (_UNEXPECTED.search(str(error)) or _LACKING.search(str(error)))
    if part or (_RUNNER.search(file) and (deliberate or mismatch)):
        return f'{f"{part}: " if part else ""}{_text(error, frames)}'
    if any(name in ('prepare_data', '_load_metainfo', '__getitem__', '__getitems__') for _, name in codes):
        return _data_error(error, frames)
    if 'Original Traceback' in str(error) and re.search(
        r'in (prepare_data|__getitem__|__getitems__)$', str(error), re.M
    ):
        return f'data could not be read: {type(error).__name__}: {shortened(message(error))}'
    line = linecache.getline(frames[-1].tb_frame.f_code.co_filename, frames[-1].tb_lineno)
    if isinstance(error, NameError) and any(name == 'batched_nms' for _, name in codes):
        return f'model.test_cfg: there is no such kind of nms: {message(error)}'
    if isinstance(error, (AttributeError, KeyError, TypeError)) and (key := re.search('(train|test)_cfg', line)):
        return f'model.{key[0]} lacks what the model needs: {_text(error, frames)} at `{line.strip()}`'
    if isinstance(error, (RuntimeError, AssertionError, ValueError)) and _SIZES.search(str(error)):
        return _size_error(error, frames)
    return _stock_error(error, frames)


def _stock_error(error: Exception, frames: list) -> Optional[str]:
    """About an error inside a stock model or metric that no model code of ours called: the config's values made it."""
    files = [frame.tb_frame.f_code.co_filename for frame in frames]
    ours = [file for file in files if is_ours(file) and Path(file).parent.name not in ('engine', 'tools', 'mmsterf')]
    owners = [frame.tb_frame.f_locals.get('self') for frame in frames]
    kinds = [
        type(owner) for owner in owners if type(owner).__module__.partition('.')[0] in ('mmdet', 'mmseg', 'mmpretrain')
    ]
    if ours or not kinds or not is_library(files[-1]):
        return None
    return f'{kinds[-1].__name__} cannot work with the values of the config: {_text(error, frames)}'


def _build_error(error: Exception, frames: list, cfg: Any) -> Optional[str]:
    """About an error below the innermost `build_from_cfg`, the first of `frames`."""
    names = frames[0].tb_frame.f_locals
    node, kind, registry = names.get('cfg'), names.get('obj_cls'), names.get('registry')
    path = _path_of(node, cfg) or str(getattr(registry, 'name', 'the config')).replace(' ', '_')
    text = message(error)
    if kind is None:
        if not isinstance(node, dict):
            return f'{path}: must be a dict with a type, got {shortened(repr(node), 100)}'
        if not node.get('type'):
            return f'{path}: needs a type, got the keys {", ".join(map(str, node)) or "none"}'
        if not isinstance(node['type'], str):
            return f'{path}.type: {node["type"]!r} is neither a registered name nor a class'
        if isinstance(error, KeyError) and isinstance(registry, Registry):
            known = set(_names(registry))
            return (
                f'{path}.type: {node["type"]!r} is no {registry.name} that is registered{nearest(node["type"], known)}'
            )
        return f'{path}.type: {node["type"]!r} cannot be imported: {shortened(text)}'
    title = f'{path} ({getattr(kind, "__name__", kind)})'
    if isinstance(error, TypeError) and (match := _UNEXPECTED.search(text)) and match[1] in node:
        known = arguments_of(kind, cfg) or set()
        return f'{path}.{match[1]}: {getattr(kind, "__name__", kind)} has no such argument{nearest(match[1], known)}'
    if isinstance(error, TypeError) and len(frames) == 1 and (match := _LACKING.search(text)):
        missing = ', '.join(f'{path}.{name}' for name in re.findall(r"'(\w+)'", match[1]))
        return f'{title}: needs {match[1]}, which the config does not give: set {missing}'
    file, deliberate = raised_by(error)
    if not deliberate and not is_ours(file) and not is_library(file):
        return None  # a slip in a class of the user's, who needs its traceback
    if is_ours(file) and (isinstance(error, AssertionError) or not isinstance(error, _FROM_VALUES)):
        return None
    if isinstance(error, (NameError, UnboundLocalError)):
        return None
    return f'{title}: {_text(error, frames)}'


def _text(error: Exception, frames: list) -> str:
    """Message of an error; of an assertion without one, what it asserts; names of Python's own errors in front."""
    text = message(error)
    if isinstance(error, AssertionError) and not str(error):
        code, line = frames[-1].tb_frame.f_code, frames[-1].tb_lineno
        return f'`{linecache.getline(code.co_filename, line).strip()}` does not hold'
    if isinstance(error, (ValueError, RuntimeError, AssertionError)):
        return shortened(text)
    return shortened(f'{type(error).__name__}: {text}')


def _data_error(error: Exception, frames: list) -> str:
    """About an error while an item of a data set was loaded: its file, and the step of the pipeline."""
    step = image = None
    for frame in frames:
        for value in (frame.tb_frame.f_locals.get(name) for name in ('results', 'data', 'data_info')):
            if isinstance(value, dict):
                image = value.get('img_path') or value.get('filename') or image
        owner = frame.tb_frame.f_locals.get('self')
        if frame.tb_frame.f_code.co_name in ('__call__', 'transform') and owner is not None:
            step = type(owner).__name__
    where = f'data {image} ' if image else 'data '
    return f'{where}could not be read{f" ({step})" if step else ""}: {_text(error, frames)}'


def _size_error(error: Exception, frames: list) -> Optional[str]:
    """About tensors that do not fit while a model runs: its innermost module that is not of torch."""
    from torch import nn

    modules = []
    for frame in frames:
        owner = frame.tb_frame.f_locals.get('self')
        if isinstance(owner, nn.Module) and (not modules or modules[-1] is not owner):
            modules.append(owner)
    if len(modules) < 2:
        return None
    # Names are looked up in the outermost module below which all others are.
    names = {id(module): name for name, module in modules[0].named_modules()}
    name = next((names[id(m)] for m in reversed(modules) if names.get(id(m))), type(modules[-1]).__name__)
    return f'the parts of the model do not fit each other or its input, at {name}: {shortened(str(error))}'


def _names(registry: Registry) -> Iterator[str]:
    """Names in a registry, its parents and all their children, with their scopes where those are not the default."""
    top = registry
    while top.parent is not None:
        top = top.parent
    for each in _family(top):
        prefix = '' if each in (top, registry) else f'{each.scope}.'
        yield from (f'{prefix}{name}' for name in each.module_dict)


def _family(registry: Registry) -> Iterator[Registry]:
    yield registry
    for child in registry.children.values():
        yield from _family(child)


def _path_of(node: Any, cfg: Any) -> str:
    """Key in a config at which a part of it (or a copy with additions) stands; '' if it is not found."""
    if not isinstance(node, dict):
        return ''
    best = (0, '')
    items = {key: value for key, value in node.items() if not inspect.isclass(value)}
    for path, candidate in _nodes(cfg, ''):
        if candidate is node:
            return path
        if str(candidate.get('type')).rpartition('.')[2] != str(node.get('type')).rpartition('.')[2]:
            continue
        score = 1 + sum(1 for key, value in items.items() if key in candidate and _same(candidate[key], value))
        if score > best[0] and all(key in items for key in candidate if key not in ('type', '_scope_')):
            best = (score, path)
    return best[1]


def _same(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # arrays and tensors
        return False


def _nodes(node: Any, path: str) -> Iterator[tuple[str, dict]]:
    if hasattr(node, 'items'):
        if path:
            yield path, node
        for key, value in node.items():
            yield from _nodes(value, f'{path}.{key}' if path else str(key))
    elif isinstance(node, (list, tuple)):
        for i, value in enumerate(node):
            yield from _nodes(value, f'{path}.{i}')


EXPLAINERS.append(explain)
