"""One setting for classes of one's own: data sets, heads, checks of label maps and losses follow."""

import re
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmsterf.errors import InvalidInput

from .data_checks import dataset_class
from .dataset_parts import SPLITS, dataset_leaves, replace_data_root
from .device import notice


def apply_own(cfg: Config, options: dict) -> None:
    """Apply `data_root` and `classes` of `--cfg-options`, or of a config's own file, everywhere, in place.

    In a config's own file they count where it sets the variable, and the data sets that it inherits do not have it.

    Args:
        cfg (Config): As it was read.
        options (dict): `--cfg-options`.

    Raises:
        InvalidInput: If classes are no names, or it is unclear what `data_root` replaces.
    """
    file = Path(cfg.filename or '')
    own = file.read_text(errors='replace') if file.is_file() else ''
    leaves = [leaf for split in SPLITS if isinstance(cfg.get(f'{split}_dataloader'), dict)
              for leaf in dataset_leaves(cfg[f'{split}_dataloader']['dataset'])]  # fmt: skip
    if 'data_root' in options:
        replace_data_root(cfg, options['data_root'])
    elif isinstance(cfg.get('data_root'), str) and _sets(own, 'data_root'):
        roots = {str(leaf.get('data_root')).rstrip('/') for leaf in leaves if leaf.get('data_root')}
        if len(roots) == 1 and cfg.data_root.rstrip('/') not in roots:
            new, cfg.data_root = cfg.data_root, roots.pop()
            replace_data_root(cfg, new)
            notice(f'data_root={new} is that of all data sets and evaluators')
    if 'classes' in options:
        replace_classes(cfg, options['classes'])
    elif isinstance(cfg.get('classes'), (list, tuple)) and _sets(own, 'classes'):
        known = [tuple((leaf.get('metainfo') or {}).get('classes') or ()) for leaf in leaves]
        if all(classes != tuple(cfg.classes) for classes in known):
            replace_classes(cfg, cfg.classes)


def _sets(text: str, name: str) -> bool:
    return re.search(rf'^{name}\s*=', text, re.MULTILINE) is not None


def replace_classes(cfg: Config, classes: Any) -> None:
    """Set the classes of all data sets, and what follows from their number, in place.

    Raises:
        InvalidInput: If they are not a list of different names.
    """
    names = tuple(str(name) for name in classes) if isinstance(classes, (list, tuple)) else ()
    if not names or len(set(names)) < len(names) or not all(name.strip() for name in names):
        raise InvalidInput(
            f"classes={classes!r}: must be a list of different names, as in --cfg-options classes=\"['cat','dog']\""
        )
    for split in SPLITS:
        if isinstance(loader := cfg.get(f'{split}_dataloader'), dict):
            for leaf in dataset_leaves(loader['dataset']):
                _set_classes(cfg, leaf, names)
                _count(leaf.get('pipeline'), len(names))
    _count(cfg.get('tta_pipeline'), len(names))
    lost: list = []
    _count_heads(cfg.get('model'), 'model', len(names), lost)
    if isinstance(cfg.get('data_preprocessor'), dict) and 'num_classes' in cfg.data_preprocessor:
        cfg.data_preprocessor.num_classes = len(names)  # mmpretrain's, which stands outside of the model
    for split in ('val', 'test'):
        metric = cfg.get(f'{split}_evaluator')
        if isinstance(metric, dict) and isinstance(metric.get('topk'), (list, tuple)):
            metric.topk = tuple(k for k in metric.topk if k <= len(names)) or (1,)
    if 'classes' in cfg:
        cfg.classes = names
    more = f'; {", ".join(lost)} is left out, which was for other classes' if lost else ''
    notice(f'{len(names)} classes in all data sets and heads: {", ".join(names[:6])}{", ..." * (len(names) > 6)}{more}')


def _set_classes(cfg: Config, leaf: dict, names: tuple) -> None:
    metainfo = dict(leaf.get('metainfo') or {})
    metainfo['classes'] = names
    if len(metainfo.get('palette') or names) != len(names):
        metainfo.pop('palette')
    leaf['metainfo'] = metainfo
    if cfg.get('default_scope') == 'mmseg':
        _plain_segmentation(leaf, names)
    elif cfg.get('default_scope') == 'mmpretrain' and str(leaf.get('type')).rpartition('.')[2] == 'ImageNet':
        leaf['type'] = 'CustomDataset'  # folders of classes, whatever their names
        leaf.pop('classes', None)
        if split := leaf.pop('split', ''):
            leaf.setdefault('data_prefix', split)


def _plain_segmentation(leaf: dict, names: tuple) -> None:
    """Data sets of mmseg know their own classes and take only some of these: others need the plain class."""
    kind = dataset_class(leaf, 'mmseg')
    known = getattr(kind, 'METAINFO', {}).get('classes')
    if known is None or set(names) <= set(known):
        return
    import inspect

    parameters = inspect.signature(kind.__init__).parameters
    for key in ('img_suffix', 'seg_map_suffix', 'reduce_zero_label'):
        if key in parameters and parameters[key].default is not inspect.Parameter.empty:
            leaf.setdefault(key, parameters[key].default)
    leaf['type'] = 'BaseSegDataset'


def _count(node: Any, number: int) -> None:
    """Tell the checks of label maps in a pipeline."""
    if isinstance(node, (list, tuple)):
        for item in node:
            _count(item, number)
    elif isinstance(node, dict):
        if str(node.get('type')).rpartition('.')[2] == 'CheckLabelMap':
            node['num_classes'] = number
        _count(node.get('transforms'), number)


def _count_heads(node: Any, path: str, number: int, lost: list) -> None:
    """Set every `num_classes` of a model, and take class weights of another length out."""
    if isinstance(node, (list, tuple)):
        for index, item in enumerate(node):
            _count_heads(item, f'{path}.{index}', number, lost)
    if not isinstance(node, dict):
        return
    for key, value in list(node.items()):
        if key == 'num_classes' and isinstance(value, int) and not path.endswith('rpn_head'):
            node[key] = number
        elif key == 'class_weight' and isinstance(value, (list, tuple)) and len(value) not in (number, number + 1):
            node[key] = None
            lost.append(f'{path}.{key}')
        else:
            _count_heads(value, f'{path}.{key}', number, lost)
