"""From which checkpoint a training goes on, and whether it belongs to the config."""

import ast
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config

from mmsterf.checkpoint import is_of_mmengine
from mmsterf.errors import InvalidInput

from .checkpoints import read_checkpoint
from .device import notice

_DECIDES = ('model', 'optim_wrapper', 'param_scheduler', 'train_cfg.type', 'train_dataloader')
"""Settings on which the weights of every iteration depend; how long to train, what to log and where may change."""
_FREE = ('num_workers', 'persistent_workers', 'pin_memory', 'prefetch_factor', 'data_root', 'init_cfg', 'pretrained')
_FREE += ('test_cfg', 'backend_args', 'with_cp')


def checkpoints_in(work_dir: str) -> list:
    """Checkpoints of a training, newest first: the one that `last_checkpoint` names, then by their age.

    A `last_checkpoint` that is empty or stale (killed while writing it, folder moved) does not mislead.
    """
    folder = Path(work_dir)
    found = [path for pattern in ('epoch_*.pth', 'iter_*.pth') for path in folder.glob(pattern) if path.is_file()]
    found.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    pointer = folder / 'last_checkpoint'
    if pointer.is_file() and (named := pointer.read_text(errors='replace').strip()):
        candidate = next((path for path in (Path(named), folder / Path(named).name) if path.is_file()), None)
        if candidate is not None:
            found = [candidate, *(path for path in found if path.resolve() != candidate.resolve())]
    return found


def damage(path: Path) -> str:
    """Why a file is no whole checkpoint to resume from, or ''; reads all of it."""
    try:
        checkpoint = read_checkpoint(str(path))
        if lacking := _lacking(checkpoint):
            return f'it has no {", ".join(lacking)}'
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as file:
                if broken := file.testzip():
                    return f'its part {broken} is damaged'
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        return ' '.join(str(error).split())[:200]
    return ''


def find_checkpoint(work_dir: str) -> Optional[str]:
    """The newest whole checkpoint of a training, or None; says which were not whole.

    Raises:
        InvalidInput: If there are checkpoints, and none is whole.
    """
    damaged = []
    for path in checkpoints_in(work_dir):
        if not (reason := damage(path)):
            if damaged:
                notice(f'--resume: not whole: {"; ".join(damaged)}; going on from {path}')
            return str(path)
        damaged.append(f'{path} ({reason})')
    if damaged:
        raise InvalidInput(
            f'--resume: no checkpoint in {work_dir} is whole: {"; ".join(damaged)}; to start anew, leave --resume out'
        )
    return None


def prepare_resume(cfg: Config, resume: str, users: Config) -> None:
    """Set a config to resume from a checkpoint, with the seed that the interrupted run had.

    mmengine restores the seed itself, but only after the data order was drawn.

    Args:
        cfg (Config): Changed in place.
        resume (str): A checkpoint, or 'auto' for the newest whole one in `cfg.work_dir`; without one, nothing is
            changed.
        users (Config): The config without what the tools changed, as checkpoints have it.

    Raises:
        FileNotFoundError: If the checkpoint is not there.
        InvalidInput: If it cannot be read safely, holds no training state, or, with 'auto', if it is of a training
            with other settings or another seed; one that is named is taken all the same, and the differences said.
    """
    path = find_checkpoint(cfg.work_dir) if resume == 'auto' else resume
    if path is None:
        notice(f'--resume: no checkpoint in {cfg.work_dir} yet, training starts at the beginning')
        return
    if is_of_mmengine(path):
        cfg.resume, cfg.load_from = True, path
        return
    checkpoint = read_checkpoint(path)
    if lacking := _lacking(checkpoint):
        raise InvalidInput(
            f'{path} has no {", ".join(lacking)} to resume from; to start from its weights, use --cfg-options '
            f'load_from={path}'
        )
    found = differences(checkpoint['meta'], users)
    if found:
        listed = '; '.join(found[:6]) + (f'; and {len(found) - 6} more' if len(found) > 6 else '')
        if resume == 'auto':
            raise InvalidInput(
                f'{path} is a checkpoint of a training with other settings: {listed}. To go on from it with the '
                f'present ones all the same, name it: --resume {path}; to start anew, leave --resume out'
            )
        notice(f'--resume: {path} was trained with other settings: {listed}')
    cfg.resume, cfg.load_from = True, path
    if (seed := checkpoint['meta'].get('seed')) is not None:
        cfg.randomness = {**(cfg.get('randomness') or {}), 'seed': seed}


def _lacking(checkpoint: dict) -> list:
    return [key for key in ('meta', 'message_hub', 'optimizer') if not isinstance(checkpoint.get(key), dict)]


def differences(meta: dict, cfg: Config) -> list:
    """What in a config decides the weights and is not as in the `meta` of a checkpoint, a clause each."""
    found = []
    before = literal_config(meta.get('cfg')) if isinstance(meta.get('cfg'), str) else None
    if before is not None:
        now = literal_config(cfg.pretty_text) or {}
        for part in _DECIDES:
            first, _, second = part.partition('.')
            pair = [side.get(first) for side in (before, now)]
            if second:
                pair = [(side or {}).get(second) for side in pair]
            found += _compare(part, *pair)
    seed, present = meta.get('seed'), (cfg.get('randomness') or {}).get('seed')
    if None not in (seed, present) and seed != present:
        found.append(f'randomness.seed was {seed} and is {present}')
    return found


def _compare(key: str, before: Any, now: Any) -> Iterator[str]:
    if key.rpartition('.')[2] in _FREE:
        return
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted({*before, *now}, key=str):
            yield from _compare(f'{key}.{name}', before.get(name), now.get(name))
    elif isinstance(before, (list, tuple)) and isinstance(now, (list, tuple)) and len(before) == len(now):
        for i, pair in enumerate(zip(before, now)):
            yield from _compare(f'{key}.{i}', *pair)
    elif before != now and not isinstance(before, Unknown) and not _same_file(before, now):
        yield f'{key} was {_short(before)} and is {_short(now)}'


def _same_file(before: Any, now: Any) -> bool:
    """Whether both are paths to something of one name: data that were moved."""
    paths = isinstance(before, str) and isinstance(now, str) and '/' in before and '/' in now
    return paths and Path(before).name == Path(now).name


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f'{text[:60]}...'


class Unknown:
    """A value in the text of a config that only running it would give."""


def literal_config(text: str) -> Optional[dict]:
    """The settings in the text of a config as mmengine writes it, without running it; None if it is no such text.

    Args:
        text (str): Assignments of literals and calls of `dict`; what else there is becomes `Unknown`.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    found = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = _literal(node.value)
    return found or None


def _literal(node: ast.expr) -> Any:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict' and not node.args:
        named = {word.arg: _literal(word.value) for word in node.keywords if word.arg}
        for word in node.keywords:
            if word.arg is None and isinstance(rest := _literal(word.value), dict):
                named.update(rest)
        return named
    if isinstance(node, ast.Dict):
        return {_literal(key): _literal(value) for key, value in zip(node.keys, node.values) if key is not None}
    if isinstance(node, (ast.List, ast.Tuple)):
        values = [_literal(value) for value in node.elts]
        return tuple(values) if isinstance(node, ast.Tuple) else values
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError):
        return Unknown()
