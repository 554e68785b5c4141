"""Read a config as the tools do: checked, with `data_root` applied everywhere."""

from importlib.util import find_spec
from pathlib import Path
from typing import Optional

from mmengine.config import Config

from mmsterf.errors import InvalidInput, shortened
from mmsterf.versions import missing_for_pretraining

from .cfg_keys import merge_options
from .dataset_parts import SPLITS
from .own_classes import apply_own
from .stages import reading

TASKS = ('mmdet', 'mmseg', 'mmpretrain')
SUFFIXES = ('.py', '.json', '.yaml', '.yml')


def read_config(path: str) -> Config:
    """Read a config file, or `package::path` inside an installed package (`mmdet::...`).

    Raises:
        InvalidInput: If it is not there or no config, with file and line of what is wrong.
    """
    import mmsterf.registry  # noqa: F401  makes `mmsterf::` known, also in a _base_

    package, inside, file = path.partition('::')
    with reading(path):
        if inside:
            if not package.isidentifier() or find_spec(package) is None:
                raise InvalidInput(f'config {path}: the package {package!r} is not installed')
            stored = Path(find_spec(package).origin or '').parent / '.mim' / 'configs' / file
            if stored.is_file():  # mmengine knows no '+' and no '.' in names of folders
                return Config.fromfile(stored)
            from mmengine.hub import get_config

            return get_config(path)
        if not Path(path).is_file():
            raise InvalidInput(f'config {path} is not a file (looked for {Path(path).absolute()})')
        if Path(path).suffix not in SUFFIXES:
            raise InvalidInput(f'config {path}: must end in {", ".join(SUFFIXES)}')
        return Config.fromfile(path)


def load_config(path: str, options: Optional[dict] = None) -> Config:
    """Read a config file and merge command line options into it.

    The option `data_root` moves every data set and evaluator below the old root, not the variable alone; `classes`
    sets those of every data set, and the heads' number of classes. Both count as variables of the file, too.

    Args:
        path (str): Config file.
        options (dict, optional): `--cfg-options`; more special keys win over `data_root` and
            `classes`.

    Raises:
        InvalidInput: If the file cannot be read, nothing reads an option, `default_scope` names no task, `model` is no
            dict, it is unclear which root `data_root` replaces, or `classes` are no names.
    """
    cfg = read_config(path)
    options = dict(options or {})
    apply_own(cfg, options)
    merge_options(cfg, options)
    if cfg.get('default_scope') not in TASKS:
        raise InvalidInput(
            f"{path}: default_scope is {cfg.get('default_scope')!r} and tells the task; valid choices are 'mmdet' "
            "(detection), 'mmseg' (segmentation) and 'mmpretrain' (classification)"
        )
    if cfg.default_scope == 'mmpretrain' and (missing := missing_for_pretraining()):
        raise InvalidInput(
            f'{path} is a classification config and needs mmpretrain; not installed are {", ".join(missing)} '
            '(docs/pretraining.md says how to)'
        )
    if 'model' in cfg and not isinstance(cfg.model, dict):
        raise InvalidInput(f'{path}: model is {shortened(repr(cfg.model), 100)}: must be a dict with a type')
    return cfg


def allow_no_workers(cfg: Config) -> None:
    """Take what torch refuses without worker processes out of data loaders with ``num_workers=0``, in place."""
    for split in SPLITS:
        loader = cfg.get(f'{split}_dataloader')
        if isinstance(loader, dict) and loader.get('num_workers') == 0:
            for key in ('persistent_workers', 'prefetch_factor', 'timeout', 'multiprocessing_context'):
                loader.pop(key, None)
