"""Merge `--cfg-options` into a config, only where something reads their keys."""

import inspect
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Optional

from mmengine.config import Config, ConfigDict
from mmengine.registry import Registry, root
from mmengine.utils import import_modules_from_strings

from mmsterf.errors import InvalidInput

# What mmengine's Runner, mmdet's and mmseg's tools and ours read of a config.
TOP_LEVEL = frozenset(
    [
        'model',
        'train_dataloader',
        'val_dataloader',
        'test_dataloader',
        'train_cfg',
        'val_cfg',
        'test_cfg',
        'optim_wrapper',
        'param_scheduler',
        'val_evaluator',
        'test_evaluator',
        'default_hooks',
        'custom_hooks',
        'data_preprocessor',
        'load_from',
        'resume',
        'launcher',
        'env_cfg',
        'log_processor',
        'log_level',
        'visualizer',
        'default_scope',
        'randomness',
        'experiment_name',
        'work_dir',
        'runner_type',
        'model_wrapper_cfg',
        'find_unused_parameters',
        'sync_bn',
        'auto_scale_lr',
        'tta_model',
        'tta_pipeline',
        'custom_imports',
        'compile',
        'activation_checkpointing',
        'strategy',
        'data_root',
        'classes',
        'st_erf_layers',
    ]
)
_LOADER = frozenset(
    [
        'batch_size',
        'dataset',
        'sampler',
        'batch_sampler',
        'num_workers',
        'collate_fn',
        'pin_memory',
        'drop_last',
        'timeout',
        'worker_init_fn',
        'multiprocessing_context',
        'generator',
        'prefetch_factor',
        'persistent_workers',
        'pin_memory_device',
        'num_batch_per_epoch',
        'shuffle',
        'in_order',
    ]
)
_WRAPPER = frozenset(['optimizer', 'constructor', 'paramwise_cfg', 'clip_grad', 'accumulative_counts'])
_RESERVED = ('_delete_', '_scope_', '_base_', 'type')


def merge_options(cfg: Config, options: Mapping) -> None:
    """Merge `--cfg-options` into a config, in place.

    Raises:
        InvalidInput: If nothing reads a key (with the nearest one), a list has no such index, or a single value would
            replace a whole dict.
    """
    for key, value in options.items():
        _check_key(cfg, key, value)
        top = key.partition('.')[0]
        if top == 'launcher':
            raise InvalidInput(f'--cfg-options {key}={value}: nothing reads it, the option --launcher tells')
        if top in cfg and top not in TOP_LEVEL:
            print(f'warning: --cfg-options {key}: {top} is a variable of the config, and nothing reads it any more')
        cfg.merge_from_dict({key: value})
    if any(key.startswith('custom_imports') for key in options) and cfg.get('custom_imports'):
        try:
            import_modules_from_strings(**cfg.custom_imports)
        except ImportError as error:
            raise InvalidInput(f'--cfg-options custom_imports: {error}') from error


def _check_key(cfg: Config, key: str, value: Any) -> None:
    parts, node, parent, seen = key.split('.'), cfg, None, []
    for part in parts:
        where = '.'.join(seen)
        if isinstance(node, (list, tuple)):
            if isinstance(node, tuple) or not part.isdigit() or int(part) >= len(node):
                indices = f'its indices are 0 to {len(node) - 1}' if len(node) else 'it is empty'
                kind = 'a tuple, to be replaced as a whole' if isinstance(node, tuple) else f'a list, {indices}'
                raise InvalidInput(f'--cfg-options {key}: {where} is {kind}, got {part!r}')
            parent, node = node, node[int(part)]
        elif isinstance(node, (dict, Config)):
            if part not in node:
                known = _known(node, seen, cfg)
                if known is not None and part not in known and part not in _RESERVED:
                    raise InvalidInput(
                        f'--cfg-options {key}: nothing reads {part!r}{f" in {where}" if where else ""}'
                        f'{nearest(part, known, ".".join([*seen, ""]))}'
                    )
                for name, index in zip(parts, parts[1:]):
                    if index.isdigit() and name not in seen:
                        raise InvalidInput(f'--cfg-options {key}: the config has no {name}, and so no {index} in it')
                return
            parent, node = node, node[part]
        elif node is None:
            if part.isdigit():
                raise InvalidInput(f'--cfg-options {key}: {where} is None, and has no {part}')
            parent[seen[-1]] = ConfigDict()
            return
        else:
            raise InvalidInput(f'--cfg-options {key}: {where} is {node!r} and has no key {part!r}')
        seen.append(part)
    numbers = isinstance(node, (list, tuple)) and node and all(isinstance(item, (int, float)) for item in node)
    if isinstance(value, str) and (numbers or (isinstance(node, bool) and parts[-1] != 'resume')):
        raise InvalidInput(f'--cfg-options {key}={value}: {key} is {node!r} and cannot become {value!r}')
    if (
        isinstance(node, dict) or (isinstance(node, (list, tuple)) and any(isinstance(item, dict) for item in node))
    ) and not (value is None or isinstance(value, (dict, list, tuple))):
        inside = f'{key}.{next(iter(node), "KEY")}' if isinstance(node, dict) else f'{key}.0'
        raise InvalidInput(
            f'--cfg-options {key}={value}: {key} is a {"dict" if isinstance(node, dict) else "list of dicts"} and '
            f'cannot become {value!r}; set what is in it, as in {inside}=VALUE'
        )


def nearest(name: str, known, prefix: str = '', most: int = 12) -> str:
    """'; did you mean X?', or '; valid are ...' where nothing is near and there are few."""
    known = sorted(str(k) for k in known if str(k) not in _RESERVED)
    if near := get_close_matches(name, known, 3, 0.6):
        return f'; did you mean {" or ".join(prefix + n for n in near)}?'
    return f'; valid are {", ".join(known)}' if known and len(known) <= most else ''


def _known(node, seen: list, cfg: Config) -> Optional[set]:
    """Keys that something reads in a node, with those it has; None if that cannot be told."""
    own = set(node)
    if not seen:
        return own | TOP_LEVEL
    if len(seen) == 1 and seen[0].endswith('_dataloader'):
        return own | _LOADER
    if len(seen) == 1 and seen[0] in ('train_cfg', 'val_cfg', 'test_cfg') and 'type' not in node:
        names = {'by_epoch', 'max_epochs', 'max_iters', 'val_begin', 'val_interval', 'dynamic_intervals', 'fp16'}
        return own | names
    if len(seen) == 1 and seen[0] == 'randomness':
        return own | {'seed', 'deterministic', 'diff_rank_seed'}
    if seen == ['env_cfg']:
        return own | {'cudnn_benchmark', 'mp_cfg', 'dist_cfg', 'resource_limit'}
    if seen == ['env_cfg', 'mp_cfg']:
        return own | {'mp_start_method', 'opencv_num_threads'}
    if seen[0] == 'optim_wrapper' and len(seen) == 1:
        accepted = arguments_of(node.get('type', 'OptimWrapper'), cfg)
        return None if accepted is None else own | accepted | _WRAPPER
    if 'type' not in node:
        return None
    accepted = arguments_of(node['type'], cfg)
    return None if accepted is None else own | accepted


def arguments_of(kind, cfg: Config, registry: Optional[Registry] = None) -> Optional[set]:
    """Names that the constructor of a registered type takes, its bases' included; None if it may take any.

    Without a type of that name in `registry`, the set is empty; without `registry`, all are asked, and it is None.
    """
    if not isinstance(kind, str):
        found = [kind]
    else:
        found = [
            cls for each in [registry] * bool(registry) or _registries() if (cls := _get(each, kind, cfg)) is not None
        ]
    if registry and not found:
        return set()
    names: set = set()
    for cls in found:
        accepted = _arguments_of_class(cls)
        if accepted is None:
            return None
        names |= accepted
    return names or None


def _registries() -> list:
    return [value for value in vars(root).values() if isinstance(value, Registry)]


def _get(registry: Registry, kind: str, cfg: Config):
    """What a registry, or that of the config's scope, has under a name."""
    try:
        with registry.switch_scope_and_registry(cfg.get('default_scope')) as scoped:
            return scoped.get(kind)
    except Exception:  # packages that do not import are not what is asked for here
        return None


def _arguments_of_class(cls) -> Optional[set]:
    if not inspect.isclass(cls):
        return None
    names: set = set()
    for base in cls.__mro__:
        if '__init__' not in vars(base):
            continue
        if base is object:
            return names
        parameters = list(inspect.signature(base.__init__).parameters.values())[1:]
        names |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return names
    return None
