"""The text of a config: short, commented, inheriting a shipped one."""

from pathlib import Path

from .found import Found
from .plan import Plan
from .weights import BACKBONE, WHOLE

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
    parts = {'det': _detection, 'seg': _segmentation, 'cls': _classification}[found.task]
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


def _data(found: Found, new: str) -> dict:
    """Arguments of the data sets of the splits, as text."""
    texts = {}
    for split, options in found.splits.items():
        options = dict(options)
        if 'ann_file' in options and options['ann_file'] is None:
            options['ann_file'] = f'{new}/{split}.{"json" if found.task == "det" else "txt"}'
        if found.task == 'seg' and options['img_suffix'] == '':
            options['data_prefix'] = {'img_path': '', 'seg_map_path': f'{new}/labels'}
        texts[split] = ', '.join(f'{key}={_text(value)}' for key, value in options.items())
    return texts


def _workers(plan: Plan) -> list:
    return [f'    num_workers={plan.workers},', f'    persistent_workers={plan.workers > 0},']


def _text(value) -> str:
    if isinstance(value, dict):
        return f'dict({", ".join(f"{key}={item!r}" for key, item in value.items())})'
    return repr(value)


def _backbone(base, kind, weights) -> str:
    """Settings of a backbone that is trained from nothing, or where its weights are."""
    if kind == BACKBONE:
        return f"backbone=dict(init_cfg=dict(type='Pretrained', checkpoint={weights!r}, prefix='backbone.'))"
    mixer = 'mixer=dict(dropout=0.0), ' if base.model.backbone.mixer.get('dropout') else ''
    return f'backbone=dict({mixer}attention_scale={ATTENTION!r}, residual_gain=0.5)'


CHANNELS = {'cpu': 64, 'gpu': 256}
"""Of neck and heads that are trained from nothing."""

ATTENTION = 'tokens'
"""Of new trainings: does not saturate at large images. Weights that were trained with 'published' keep that."""


def _detection(found: Found, plan: Plan, base, new: str, kind, weights) -> list:
    data, c = _data(found, new), CHANNELS[plan.machine]
    masks, metric = (', with_mask=True', '') if found.masks else ('', ", metric='bbox'")
    lines = [
        'metainfo = dict(classes=classes)',
        f'scale = {plan.scale}  # images fit into it',
        '',
        'train_pipeline = [',
        "    dict(type='LoadImageFromFile'),",
        f"    dict(type='LoadAnnotations', with_bbox=True{masks}),",
        *(
            ["    dict(type='Resize', scale=scale, keep_ratio=True),"]
            if found.counts['train'] < 100
            else ["    dict(type='RandomResize', scale=scale, ratio_range=(0.7, 1.3), keep_ratio=True),"]
        ),
        "    dict(type='RandomFlip', prob=0.5),  # not where left and right mean something",
        "    dict(type='PackDetInputs'),",
        ']',
        'test_pipeline = [',
        "    dict(type='LoadImageFromFile'),",
        "    dict(type='Resize', scale=scale, keep_ratio=True),",
        f"    dict(type='LoadAnnotations', with_bbox=True{masks}),",
        "    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),",
        ']',
        'train_dataloader = dict(',
        f'    batch_size={plan.batch},',
        *_workers(plan),
        "    sampler=dict(type='InfiniteSampler', shuffle=True),",
        '    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline,',
        f'        filter_cfg=dict(filter_empty_gt=False), {data["train"]}),',
        ')',
        'val_dataloader = dict(',
        *_workers(plan),
        '    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=test_pipeline,',
        f'        {data["val"]}),',
        ')',
        'test_dataloader = val_dataloader',
        f'val_evaluator = dict(ann_file=data_root + {_ann_file(found, new)!r}{metric})',
        'test_evaluator = val_evaluator',
        '',
    ]
    if kind == WHOLE:
        heads = 'bbox_head=dict(num_classes=len(classes))'
        heads += (
            ', mask_head=dict(num_classes=len(classes))' if found.masks else ', mask_roi_extractor=None, mask_head=None'
        )
        return [*lines, f'model = dict({"" if found.masks else _FASTER}roi_head=dict({heads}))']
    mask_head = (
        [
            f'        mask_roi_extractor=dict(out_channels={c}, finest_scale={plan.finest}),',
            f'        mask_head=dict(in_channels={c}, conv_out_channels={c}, norm_cfg=norm_cfg, '
            'num_classes=len(classes)),',
        ]
        if found.masks
        else ['        mask_roi_extractor=None,', '        mask_head=None,']
    )
    return [
        *lines,
        '# Neck and heads start from nothing: batch norms let them learn from few images. Anchors are of the sizes and',
        '# ratios (height / width) of the objects at this scale.',
        "norm_cfg = dict(type='BN')",
        'model = dict(',
        *(["    type='mmsterf.FasterRCNN',  # boxes only"] * (not found.masks)),
        f'    {_backbone(base, kind, weights)},',
        f'    neck=dict(out_channels={c}, norm_cfg=norm_cfg),',
        '    rpn_head=dict(',
        f'        in_channels={c},',
        f'        feat_channels={c},',
        f'        anchor_generator=dict(scales=[{plan.anchor_scale}], ratios={plan.ratios}),',
        '    ),',
        '    roi_head=dict(',
        f'        bbox_roi_extractor=dict(out_channels={c}, finest_scale={plan.finest}),',
        '        bbox_head=dict(',
        "            type='mmsterf.SpikingConvFCBBoxHead',",
        '            num_shared_convs=2,',
        '            num_shared_fcs=1,',
        "            conv_cfg=dict(type='mmsterf.SpikeConv2d'),",
        '            norm_cfg=norm_cfg,',
        f'            in_channels={c},',
        f'            conv_out_channels={c},',
        '            fc_out_channels=512,',
        '            num_classes=len(classes),',
        '        ),',
        *mask_head,
        '    ),',
        '    train_cfg=dict(rpn_proposal=dict(nms_pre=500, max_per_img=200), rcnn=dict(sampler=dict(num=64))),',
        '    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=200)),',
        ')',
    ]


_FASTER = "type='mmsterf.FasterRCNN', "


def _ann_file(found: Found, new: str) -> str:
    return found.splits['val']['ann_file'] or f'{new}/val.json'


def _segmentation(found: Found, plan: Plan, base, new: str, kind, weights) -> list:
    data = _data(found, new)
    palette = f', palette={found.palette}' if found.palette else ''
    few = found.counts['train'] < 100
    ratios = (1.0, 1.5) if few else (0.5, 2.0)
    lines = [
        f'metainfo = dict(classes=classes{palette})',
        f'scale = {plan.scale}  # width and height of images, from their median',
        'crop_size = scale[::-1]',
        '',
        'train_pipeline = [',
        "    dict(type='LoadImageFromFile'),",
        "    dict(type='LoadAnnotations'),",
        "    dict(type='mmsterf.CheckLabelMap', num_classes=len(classes)),",
        f"    dict(type='RandomResize', scale=scale, ratio_range={ratios}, keep_ratio=True),",
        "    dict(type='RandomCrop', crop_size=crop_size, cat_max_ratio=0.9),",
        "    dict(type='RandomFlip', prob=0.5),  # not where left and right mean something",
        *([] if few else ["    dict(type='PhotoMetricDistortion'),"]),
        "    dict(type='PackSegInputs'),",
        ']',
        'test_pipeline = [',
        "    dict(type='LoadImageFromFile'),",
        "    dict(type='Resize', scale=scale, keep_ratio=True),",
        "    dict(type='LoadAnnotations'),",
        "    dict(type='mmsterf.CheckLabelMap', num_classes=len(classes)),",
        "    dict(type='PackSegInputs'),",
        ']',
        "dataset = dict(_delete_=True, type='BaseSegDataset', data_root=data_root, metainfo=metainfo)",
        'train_dataloader = dict(',
        f'    batch_size={plan.batch},',
        *_workers(plan),
        "    sampler=dict(type='InfiniteSampler', shuffle=True),",
        f'    dataset=dict(pipeline=train_pipeline, {data["train"]}, **dataset),',
        ')',
        'val_dataloader = dict(',
        *_workers(plan),
        f'    dataset=dict(pipeline=test_pipeline, {data["val"]}, **dataset),',
        ')',
        'test_dataloader = val_dataloader',
        '',
    ]
    if kind == WHOLE:
        return [
            *lines,
            'model = dict(data_preprocessor=dict(size=crop_size), decode_head=dict(num_classes=len(classes)))',
        ]
    return [
        *lines,
        "# Neck and head start from nothing, as torch has it: mmseg's initialisation, a classifier at 0.01, is slower.",
        'model = dict(',
        '    data_preprocessor=dict(size=crop_size),',
        f'    {_backbone(base, kind, weights)},',
        '    neck=dict(init_cfg=None),',
        '    decode_head=dict(init_cfg=None, num_classes=len(classes)),',
        ')',
    ]


def _classification(found: Found, plan: Plan, base, new: str, kind, weights) -> list:
    data, side = _data(found, new), plan.scale[0]
    top = ', topk=(1, 5)' if len(found.classes) > 5 else ', topk=(1,)'
    lines = [
        f'size = {side}',
        '',
        'train_pipeline = [',
        "    dict(type='LoadImageFromFile'),",
        "    dict(type='RandomResizedCrop', scale=size, crop_ratio_range=(0.4, 1.0)),",
        "    dict(type='RandomFlip', prob=0.5, direction='horizontal'),  # not where left and right mean something",
        "    dict(type='PackInputs'),",
        ']',
        'test_pipeline = [',
        "    dict(type='LoadImageFromFile'),",
        "    dict(type='ResizeEdge', scale=size + size // 8, edge='short'),",
        "    dict(type='CenterCrop', crop_size=size),",
        "    dict(type='PackInputs'),",
        ']',
        "dataset = dict(_delete_=True, type='CustomDataset', data_root=data_root, metainfo=dict(classes=classes))",
        'train_dataloader = dict(',
        f'    batch_size={plan.batch},',
        *_workers(plan),
        "    sampler=dict(type='InfiniteSampler', shuffle=True),",
        f'    dataset=dict(pipeline=train_pipeline, {data["train"]}, **dataset),',
        ')',
        'val_dataloader = dict(',
        f'    batch_size={plan.batch},',
        *_workers(plan),
        f'    dataset=dict(pipeline=test_pipeline, {data["val"]}, **dataset),',
        ')',
        'test_dataloader = val_dataloader',
        f"val_evaluator = dict(_delete_=True, type='Accuracy'{top})",
        'test_evaluator = val_evaluator',
        '',
        'data_preprocessor = dict(num_classes=len(classes))',
    ]
    backbone = f'{_backbone(base, kind, weights)}, ' if kind != WHOLE else ''
    return [*lines, f'model = dict({backbone}head=dict(num_classes=len(classes)))']


RATES = {'det': (2e-3, 2e-4), 'seg': (2e-3, 1e-3), 'cls': (1e-3, 2e-4)}
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
        f'    logger=dict(interval={plan.log_interval}),',
        f'    checkpoint=dict(by_epoch=False, interval={plan.val_interval}, max_keep_ckpts=1),',
        ')',
        *([keep] if keep else []),
        'randomness = dict(seed=0)',
    ]
