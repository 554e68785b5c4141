"""Checkpoints that load without running code, and what a resumed training needs from them."""

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from mmengine.config import Config
from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import HistoryBuffer

from mmsterf.checkpoint import state_dict_of
from mmsterf.checkpoint.damage import explained
from mmsterf.checkpoint.io import checked

from .device import notice


def allow_mmengine_checkpoints() -> None:
    """Let torch.load read mmengine's checkpoints with weights_only, in this process, and nothing less safe.

    mmengine keeps log histories in its checkpoints, which refer to their statistics methods through `getattr`. That
    name is bound to a function that returns those methods and refuses everything else.
    """
    # Loads from URLs ask torch for a full unpickling otherwise.
    os.environ['TORCH_FORCE_WEIGHTS_ONLY_LOAD'] = '1'
    reconstruct = np.ndarray.__reduce__(np.zeros(0))[0]
    scalar = np.float64(0).__reduce__()[0]
    numpy_types = [np.ndarray, np.dtype, *(type(np.dtype(kind)) for kind in '?bhilqBHILQefdSU')]
    numpy_functions = [
        (function, f'numpy.{core}.multiarray.{name}')
        for core in ('core', '_core')  # before and since numpy 2
        for name, function in (('_reconstruct', reconstruct), ('scalar', scalar))
    ]
    torch.serialization.add_safe_globals(
        [HistoryBuffer, (_history_statistic, 'builtins.getattr'), *numpy_types, *numpy_functions]
    )


def _history_statistic(owner: type, name: str) -> Any:
    """What `getattr` may be in a checkpoint."""
    if owner is HistoryBuffer and name in ('min', 'max', 'mean', 'current'):
        return getattr(owner, name)
    raise pickle.UnpicklingError(f'a checkpoint may not look up {name!r} of {owner!r}')


@register_backend('mmsterf_atomic')
class AtomicLocalBackend(LocalBackend):
    """Local files that appear whole or not at all, even if the process is killed while writing."""

    def put(self, obj: bytes, filepath) -> None:
        """Write `obj` beside `filepath`, then move it there."""
        path = Path(filepath)
        path.parent.mkdir(parents=True, exist_ok=True)
        # One name per target: the next attempt replaces what a killed one left.
        unfinished = path.with_name(f'{path.name}.unfinished')
        with unfinished.open('wb') as file:
            file.write(obj)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)


def plain(value: Any) -> Any:
    """Replace log histories and numpy scalars below dicts, lists and tuples by what weights_only loads anywhere."""
    if isinstance(value, HistoryBuffer):
        log, count = (torch.from_numpy(array.copy()) for array in value.data)
        return {'log_history': log, 'count_history': count, 'max_length': value.max_length}
    if isinstance(value, np.generic):
        return value.item()
    if type(value) in (list, tuple):
        return type(value)(plain(item) for item in value)
    if type(value) in (dict, OrderedDict):
        return type(value)((key, plain(item)) for key, item in value.items())
    return value


def restore_histories(message_hub: dict) -> None:
    """Turn what `plain` made of log histories back into HistoryBuffers, in place."""
    scalars = message_hub['log_scalars']
    for key, value in scalars.items():
        if isinstance(value, dict):
            scalars[key] = HistoryBuffer(
                value['log_history'].cpu().numpy(), value['count_history'].cpu().numpy(), value['max_length']
            )


def find_checkpoint(work_dir: str) -> Optional[str]:
    """The checkpoint to resume from: the last one written, or None.

    A `last_checkpoint` that is empty or stale (killed while writing it, folder moved) does not mislead.
    """
    folder = Path(work_dir)
    pointer = folder / 'last_checkpoint'
    if pointer.is_file() and (named := pointer.read_text().strip()):
        for candidate in (Path(named), folder / Path(named).name):
            if candidate.is_file():
                return str(candidate)
    written = [path for pattern in ('epoch_*.pth', 'iter_*.pth') for path in folder.glob(pattern)]
    return str(max(written, key=lambda path: path.stat().st_mtime)) if written else None


def read_checkpoint(path: str) -> dict:
    """Read a local checkpoint safely; its tensors stay on disk until they are used.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is damaged or wants to run code.
    """
    with explained(path):
        checkpoint = torch.load(path, map_location='cpu', weights_only=True, mmap=zipfile.is_zipfile(path))
    return checked(checkpoint, path)


def check_checkpoint(path: Optional[str]) -> None:
    """As `read_checkpoint`, for what may also be None or a URL, which are left to mmengine."""
    if path and '://' not in path:
        state_dict_of(read_checkpoint(path))


def prepare_resume(cfg: Config, resume: str) -> None:
    """Set a config to resume from a checkpoint, with the seed that the interrupted run had.

    mmengine restores the seed itself, but only after the data order was drawn.

    Args:
        cfg (Config): Changed in place.
        resume (str): A checkpoint, or 'auto' for the last one in `cfg.work_dir`; without one, nothing is changed.

    Raises:
        FileNotFoundError: If the checkpoint is not there.
        ValueError: If it cannot be read safely, or holds no training state.
    """
    path = find_checkpoint(cfg.work_dir) if resume == 'auto' else resume
    if path is None:
        notice(f'--resume: no checkpoint in {cfg.work_dir} yet, training starts at the beginning')
        return
    cfg.resume, cfg.load_from = True, path
    if '://' in path:
        return
    checkpoint = read_checkpoint(path)
    if lacking := [key for key in ('meta', 'message_hub', 'optimizer') if key not in checkpoint]:
        raise ValueError(
            f'{path} has no {", ".join(lacking)} to resume from; to start from its weights, use --cfg-options '
            f'load_from={path}'
        )
    if (seed := checkpoint['meta'].get('seed')) is not None:
        cfg.randomness = {**(cfg.get('randomness') or {}), 'seed': seed}
