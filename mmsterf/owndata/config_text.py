"""The text of a config: short, commented, inheriting a shipped one."""

from pathlib import Path

from .config_cls import classification
from .config_det import detection
from .config_seg import segmentation
from .found import Found
from .plan import Plan
from .weights import BACKBONE

NAMES = {'det': 'mask_rcnn_{}', 'seg': 'semantic_fpn_{}', 'cls': 'imagenet/{}_in1k'}


def models(task: str) -> list:
    """Names that `--model` takes, those of shipped configs."""
    from mmengine.hub.hub import get_installed_path

    import mmsterf.registry  # noqa: F401  where the package lies, also in a clone

    configs = Path(get_installed_path('mmsterf')) / '.mim' / 'configs'
    pattern = NAMES[task].format('sdt_*')
    start, _, end = NAMES[task].partition('{}')
    names = [str(path.relative_to(configs))[len(start) : -len(f'{end}.py')] for path in configs.glob(f'{pattern}.py')]
    return sorted(name for name in names if not name.endswith('_digits'))


def config_text(found: Found, plan: Plan, model: str, base, new: str, weights=None, kind=None) -> str:
    """The text of the config.

    Args:
        found (Found): The data.
        plan (Plan): The numbers.
        model (str): One of `models(task)`.
        base (Config): The shipped config of that name.
        new (str): Folder of new files, relative to `found.root`.
        weights (str, optional): File of weights to begin from.
        kind (str, optional): What they are of, see `weights.kind_of`.
    """
    parts = {'det': detection, 'seg': segmentation, 'cls': classification}[found.task]
    lines = _head(found, model) + parts(found, plan, base, new, kind, weights) + _schedule(found, plan, kind, weights)
    return '\n'.join([*lines, ''])


def _head(found: Found, model: str) -> list:
    return [
        f'# {found.form}: {found.counts["train"]} images to train on, {found.counts["val"]} to validate on. Written by '
        'tools/init_config.py, and yours to change.',
        f"_base_ = 'mmsterf::{NAMES[found.task].format(model)}.py'",
        '',
        f'data_root = {str(found.root.resolve()) + "/"!r}',
        *_class_lines(found.classes),
    ]


def _class_lines(classes: list) -> list:
    """`classes = (...)`, on as many lines as it takes."""
    names = [f'{name!r},' for name in classes]
    if sum(map(len, names)) + len(names) < 100:
        return [f'classes = ({" ".join(names).rstrip("," if len(names) > 1 else "")})']
    lines = ['   ']
    for name in names:
        if len(lines[-1]) + len(name) > 118:
            lines.append('   ')
        lines[-1] += f' {name}'
    return ['classes = (', *lines, ')']


RATES = {'det': (1.5e-3, 2e-4), 'seg': (2e-3, 1e-3), 'cls': (1e-3, 2e-4)}
"""Learning rates from nothing, and from weights."""


def _schedule(found: Found, plan: Plan, kind, weights) -> list:
    rate = RATES[found.task][kind is not None]
    keys = {'det': "{'bbox_head.shared_fcs': dict(lr_mult=0.3)}", 'seg': "{'decode_head': dict(lr_mult=1.0)}"}
    custom = f', custom_keys={keys[found.task]}' if found.task in keys else ''
    decay = {'det': 0.05, 'seg': 0.01, 'cls': 0.05}[found.task]
    keep = '' if kind is None or kind == BACKBONE else f'load_from = {weights!r}  # what of it does not fit is listed'
    return [
        '',
        f'max_iters = {plan.max_iters}  # each image {plan.passes:.0f} times',
        'train_cfg = dict(',
        f"    _delete_=True, type='IterBasedTrainLoop', max_iters=max_iters, val_interval={plan.val_interval}",
        ')',
        'optim_wrapper = dict(',
        f"    optimizer=dict(_delete_=True, type='AdamW', lr={rate}, betas=(0.9, 0.99), weight_decay={decay}),",
        f'    paramwise_cfg=dict(norm_decay_mult=0.0{custom}),',
        '    clip_grad=dict(_delete_=True, max_norm=10.0),'
        if found.task == 'seg'
        else '    clip_grad=dict(max_norm=10.0),',
        ')',
        'param_scheduler = [',
        f"    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end={plan.warmup}),",
        f"    dict(type='CosineAnnealingLR', by_epoch=False, begin={plan.warmup}, end=max_iters),",
        ']',
        'log_processor = dict(by_epoch=False)',
        'default_hooks = dict(',
        f'    logger=dict(interval={plan.log_interval}, log_metric_by_epoch=False),',
        f'    checkpoint=dict(by_epoch=False, interval={plan.val_interval}, max_keep_ckpts=1),',
        ')',
        *([keep] if keep else []),
        'randomness = dict(seed=0)',
    ]
