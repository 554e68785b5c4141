"""Checkpoint files, read without running code and written whole or not at all."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from mmsterf.errors import InvalidInput, shortened

from .addresses import local_file
from .damage import explained

CONTAINERS = ('state_dict', 'model')


class _Inert:
    """Stands for an object that no weight needs: takes any arguments and any state, and does nothing with them."""

    def __init__(self, *args, **kwargs) -> None:
        pass

    def __setstate__(self, state) -> None:
        pass


_INERT = (
    'argparse.Namespace',  # options of ImageNet training scripts
    'builtins.getattr',  # how HistoryBuffer names its statistics
    'mmengine.logging.history_buffer.HistoryBuffer',
    'numpy.dtype',
    'numpy.ndarray',
    *(
        f'numpy.{core}.multiarray.{name}'
        for core in ('core', '_core')  # before and since numpy 2
        for name in ('_reconstruct', 'scalar')
    ),
)
"""What training scripts keep in checkpoints beside tensors and plain values; replaced by `_Inert`, never called."""


def read(path: str, map_location: str = 'cpu') -> dict:
    """Read a checkpoint file, with ``weights_only``.

    Objects of the kinds that mmengine and ImageNet training scripts leave in checkpoints (log histories, numpy
    values, options) are replaced by empty ones, whatever else this process allows torch to load; all others are
    refused.

    Args:
        path (str): File or address, see `local_file`.
        map_location (str): Device of the tensors.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be fetched, needs code to load, is damaged, or is no checkpoint.
    """
    file = local_file(path)
    allowed = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals([(_Inert, name) for name in _INERT])
    try:
        with explained(path, file):
            checkpoint = torch.load(file, map_location=map_location, weights_only=True)
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(allowed)
    return checked(checkpoint, path)


def checked(checkpoint: Any, path: str) -> dict:
    """The content of a checkpoint file, if it is a mapping.

    Raises:
        InvalidInput: If it is anything else.
    """
    if not isinstance(checkpoint, Mapping):
        raise InvalidInput(f'{path} is no checkpoint: a dict was expected, found {type(checkpoint).__name__}')
    return checkpoint


def weights_in(checkpoint: Any) -> Mapping:
    """The mapping below `state_dict` (mmengine) or `model` (ImageNet scripts), or else the checkpoint itself."""
    if not isinstance(checkpoint, Mapping):
        return {}
    return next((checkpoint[key] for key in CONTAINERS if isinstance(checkpoint.get(key), Mapping)), checkpoint)


def state_dict_of(checkpoint: Mapping) -> Mapping:
    """The state dict in a checkpoint, see `weights_in`.

    Raises:
        ValueError: If it is empty, or holds no tensors.
    """
    weights = weights_in(checkpoint)
    if not any(isinstance(value, torch.Tensor) for value in weights.values()):
        raise InvalidInput(
            f'no weights in this checkpoint: expected a state dict, or one below {" or ".join(CONTAINERS)}; its keys '
            f'are {shortened(", ".join(map(str, weights)) or "none", 200)}'
        )
    if odd := [key for key in weights if not isinstance(key, str)]:
        raise InvalidInput(f'no weights in this checkpoint: names of tensors are text, got {odd[0]!r}')
    return weights


def data_set_meta(checkpoint: Mapping) -> dict:
    """The `meta` that mmdet and mmseg read from a checkpoint: class names and colours, if it has them."""
    meta = checkpoint.get('meta')
    found = meta.get('dataset_meta') if isinstance(meta, Mapping) else None
    return {'dataset_meta': found} if found and _is_plain(found) else {}


def write(checkpoint: dict, path: str, force: bool = False) -> None:
    """Write a checkpoint beside `path`, then move it there.

    Raises:
        FileExistsError: If `path` exists and `force` is not set.
        FileNotFoundError: If its folder does not exist.
    """
    path = Path(path)
    if path.is_dir() or (path.exists() and not force):
        raise FileExistsError(f'{path} exists' + ('' if path.is_dir() else '; --force overwrites it'))
    if not path.parent.is_dir():
        raise FileNotFoundError(f'there is no folder {path.parent} to write {path.name} to')
    unfinished = path.with_name(f'{path.name}.{os.getpid()}.unfinished')
    try:
        torch.save(checkpoint, unfinished)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def _is_plain(value) -> bool:
    if isinstance(value, Mapping):
        return all(_is_plain(item) for pair in value.items() for item in pair)
    if isinstance(value, (list, tuple)):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, (str, int, float))
