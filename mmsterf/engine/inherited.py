"""Settings that a config inherits and that were made for other data than its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmengine.config import Config

from .dataset_parts import dataset_leaves

_OWN_DATA = ('classes', 'metainfo', 'ann_file', 'dataset_type', 'data_root')


def inherited_settings(cfg: Config) -> list:
    """What a config with data of its own takes over that depends on the data: 'key=value' each.

    Looked for are `indices` and `filter_cfg` of training sets, class weights, sizes of anchors, and limits on the
    number of detections. What the config's own file names counts as meant.

    Args:
        cfg (Config): As it was read from a file, with `filename`.
    """
    file = Path(cfg.filename or '')
    own = file.read_text(errors='replace') if file.is_file() else ''
    if '_base_' not in own or not any(name in own for name in _OWN_DATA):
        return []
    return [f'{key}={value!r}' for key, value in _candidates(cfg) if key.rpartition('.')[2] not in own]


def _candidates(cfg: Config) -> Iterator[tuple]:
    loader = cfg.get('train_dataloader')
    for leaf in dataset_leaves(loader['dataset']) if isinstance(loader, dict) and 'dataset' in loader else ():
        for name in ('indices', 'filter_cfg'):
            if leaf.get(name):
                yield f'train_dataloader.dataset.{name}', leaf[name]
    yield from _below('model', cfg.get('model'))


def _below(key: str, node: Any) -> Iterator[tuple]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, (list, tuple)) else ()
    for name, value in items:
        path = f'{key}.{name}'
        weights = name == 'class_weight' and value
        anchors = name == 'scales' and key.endswith('anchor_generator') and list(value) != [8]
        limit = name == 'max_per_img' and '.test_cfg.rcnn' in key and isinstance(value, int) and value < 100
        if weights or anchors or limit:
            yield path, value
        else:
            yield from _below(path, value)
