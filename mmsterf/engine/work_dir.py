"""The folder of a training: held by one run at a time, and never mixed up with what another run left there."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmengine.config import Config

from mmsterf.errors import InvalidInput

from .device import is_main, notice

_CHECKPOINTS = ('epoch_*.pth', 'iter_*.pth', 'best_*.pth', 'last_checkpoint', 'last_validation.json')


@contextmanager
def held(work_dir: str) -> Iterator[None]:
    """Hold a work dir for this run; the processes of one run hold it together.

    The lock is one of the kernel on the folder itself, so that a crash leaves none behind, and no file.

    Raises:
        InvalidInput: If another run that is alive holds it.
    """
    if not is_main():
        yield
        return
    try:
        import fcntl
    except ImportError:  # not on this system
        yield
        return
    folder = Path(work_dir)
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InvalidInput(
                f'work dir {folder} is in use by another training that still runs: wait for its end, or give this one '
                'a folder of its own with --work-dir'
            ) from None
        except OSError as error:  # file systems without locks
            notice(f'{folder} cannot be locked ({error.strerror}): take care that no other training writes to it')
        for left in folder.glob('*.unfinished'):  # by a run that was killed
            left.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def set_aside(cfg: Config) -> Iterator[None]:
    """Move the checkpoints of an earlier run in `cfg.work_dir` into a folder of their own, and say so.

    Paths in the config that lead to one of them (`load_from`, `init_cfg`) follow, in place. An error inside, before
    the new run has begun, puts everything back.
    """
    folder = Path(cfg.work_dir)
    found = sorted({path for pattern in _CHECKPOINTS for path in folder.glob(pattern) if path.is_file()})
    weights = [path for path in found if path.suffix == '.pth']
    if not weights or not is_main():
        yield
        return
    newest = max(path.stat().st_mtime for path in weights)
    aside = folder / f'before_{time.strftime("%Y%m%d_%H%M%S", time.localtime(newest))}'
    aside.mkdir(exist_ok=True)
    moved = {path: aside / path.name for path in found}
    if cfg.get('launcher', 'none') == 'none':
        _redirect(cfg._cfg_dict, {path.resolve(): str(target) for path, target in moved.items()})
    else:  # other processes may be about to read what the config names: it stays, too
        text = str(cfg._cfg_dict)
        for path in [path for path in moved if str(path) in text or path.name in text]:
            shutil.copy2(path, moved.pop(path))
    for path, target in moved.items():
        os.replace(path, target)
    try:
        yield
    except BaseException:
        for path, target in moved.items():
            os.replace(target, path)
        if not any(aside.iterdir()):
            aside.rmdir()
        raise
    notice(
        f'{folder} holds {len(weights)} checkpoint(s) of an earlier run: moved to {aside}; --resume would have gone '
        'on from them'
    )


def _redirect(node, moved: dict) -> None:
    """Replace the paths below a config node that are keys of `moved`."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        if isinstance(value, str) and value.endswith('.pth') and (new := moved.get(Path(value).resolve())):
            node[key] = new
        else:
            _redirect(value, moved)
