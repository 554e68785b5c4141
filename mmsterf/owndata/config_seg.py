"""The segmentation part of a config."""

from .config_parts import backbone_text, data_texts, worker_lines
from .found import Found
from .plan import Plan
from .weights import WHOLE


def segmentation(found: Found, plan: Plan, base, new: str, kind, weights) -> list:
    data = data_texts(found, new)
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
        *worker_lines(plan),
        "    sampler=dict(type='InfiniteSampler', shuffle=True),",
        f'    dataset=dict(pipeline=train_pipeline, {data["train"]}, **dataset),',
        ')',
        'val_dataloader = dict(',
        *worker_lines(plan),
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
        f'    {backbone_text(base, kind, weights)},',
        '    neck=dict(init_cfg=None),',
        '    decode_head=dict(init_cfg=None, num_classes=len(classes)),',
        ')',
    ]
