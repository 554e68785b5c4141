"""Data sets in a config: where they are, and where their files lie."""

from collections.abc import Iterator
from typing import Optional

from mmengine.config import Config

SPLITS = ('train', 'val', 'test')


def dataset_leaves(dataset: dict) -> Iterator[dict]:
    """The data sets inside wrappers (RepeatDataset, ConcatDataset, ...), or the data set itself."""
    inner = dataset.get('datasets', dataset.get('dataset'))
    if inner is None:
        yield dataset
        return
    for child in inner if isinstance(inner, (list, tuple)) else [inner]:
        yield from dataset_leaves(child)


def loads_sequences(cfg: Config) -> bool:
    """Whether a pipeline of a config loads windows of events or sequences of images."""
    loaders = [cfg[key] for split in SPLITS if isinstance(cfg.get(key := f'{split}_dataloader'), dict)]
    leaves = [leaf for loader in loaders for leaf in dataset_leaves(loader['dataset'])]
    steps = [str(step.get('type')) for leaf in leaves for step in leaf.get('pipeline') or ()]
    return any(step.endswith(('LoadEvents', 'LoadSequence')) for step in steps)


def event_step(cfg: Config, split: str = 'test') -> Optional[dict]:
    """The step of a split's pipeline that loads events, None if there is none."""
    loader = cfg.get(f'{split}_dataloader') or (cfg.get('val_dataloader') if split == 'test' else None) or {}
    leaf = next(dataset_leaves(loader['dataset'])) if loader.get('dataset') else {}
    steps = [step for step in leaf.get('pipeline') or () if str(step.get('type')).endswith('LoadEvents')]
    return dict(steps[0]) if steps else None


def replace_data_root(cfg: Config, new: str) -> None:
    """Replace the data root in all data loaders and evaluators, and the variable if there is one, in place.

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
    if 'data_root' in cfg:
        cfg.data_root = new  # or a file that the config is written to would set the old one again
