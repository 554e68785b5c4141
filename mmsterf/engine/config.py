"""Read a config as the tools do: checked, with `data_root` applied everywhere."""

from collections.abc import Iterator
from pathlib import Path
from typing import Optional

from mmengine.config import Config

TASKS = ('mmdet', 'mmseg')
SPLITS = ('train', 'val', 'test')


def load_config(path: str, options: Optional[dict] = None) -> Config:
    """Read a config file and merge command line options into it.

    The option `data_root` moves every data set and evaluator below the old root, not the variable alone.

    Args:
        path (str): Config file.
        options (dict, optional): `--cfg-options`; more special keys win over `data_root`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If `default_scope` names no task, or it is unclear which root `data_root` replaces.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f'config {path} is not a file (looked for {Path(path).absolute()})')
    cfg = Config.fromfile(path)
    options = dict(options or {})
    if 'data_root' in options:
        replace_data_root(cfg, options['data_root'])
    cfg.merge_from_dict(options)
    if cfg.get('default_scope') not in TASKS:
        raise ValueError(
            f"{path}: default_scope is {cfg.get('default_scope')!r} and tells the task; valid choices are 'mmdet' "
            "(detection) and 'mmseg' (segmentation)"
        )
    return cfg


def dataset_leaves(dataset: dict) -> Iterator[dict]:
    """The data sets inside wrappers (RepeatDataset, ConcatDataset, ...), or the data set itself."""
    inner = dataset.get('datasets', dataset.get('dataset'))
    if inner is None:
        yield dataset
        return
    for child in inner if isinstance(inner, (list, tuple)) else [inner]:
        yield from dataset_leaves(child)


def replace_data_root(cfg: Config, new: str) -> None:
    """Replace the data root in all data loaders and evaluators, in place.

    Raises:
        ValueError: If the config has no `data_root` of its own and its data sets have different ones.
    """
    loaders = [cfg[key] for split in SPLITS if isinstance(cfg.get(key := f'{split}_dataloader'), dict)]
    roots = {cfg.get('data_root')} - {None} or {
        leaf['data_root'] for loader in loaders for leaf in dataset_leaves(loader['dataset']) if leaf.get('data_root')
    }
    if len(roots) != 1:
        raise ValueError(
            f'data_root={new} could replace any of {sorted(roots) or "no roots"}: set '
            'train_dataloader.dataset.data_root=... and so on one by one'
        )
    old = roots.pop().rstrip('/')

    def moved(value):
        if isinstance(value, dict):
            for key in value:
                value[key] = moved(value[key])
        elif isinstance(value, (list, tuple)):
            return type(value)(moved(item) for item in value)
        elif isinstance(value, str) and (value == old or value.startswith(f'{old}/')):
            return new.rstrip('/') + value[len(old) :]
        return value

    for split in SPLITS:
        for part in ('dataloader', 'evaluator'):
            if cfg.get(key := f'{split}_{part}') is not None:
                cfg[key] = moved(cfg[key])
