"""Checkpoints that load without running code, and what a resumed training needs from them."""

import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from mmengine.fileio import LocalBackend, register_backend
from mmengine.logging import HistoryBuffer

from mmsterf.checkpoint import is_of_mmengine, local_file, state_dict_of
from mmsterf.checkpoint.damage import explained
from mmsterf.checkpoint.io import checked


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
        # A name of this process; what a killed one leaves goes when the next run holds the folder.
        unfinished = path.with_name(f'{path.name}.{os.getpid()}.unfinished')
        try:
            with unfinished.open('wb') as file:
                file.write(obj)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)


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


def read_checkpoint(path: str) -> dict:
    """Read a checkpoint of a file or an address safely; its tensors stay on disk until they are used.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it cannot be fetched, is damaged or wants to run code.
    """
    file = local_file(path)
    with explained(path, file):
        checkpoint = torch.load(file, map_location='cpu', weights_only=True, mmap=zipfile.is_zipfile(file))
    return checked(checkpoint, path)


def check_checkpoint(path: Optional[str]) -> None:
    """As `read_checkpoint`, for what may also be None or at an address that is left to mmengine."""
    if path and not is_of_mmengine(path):
        state_dict_of(read_checkpoint(path))
