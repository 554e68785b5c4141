"""The classification part of a config."""

from .config_parts import backbone_text, data_texts, worker_lines
from .found import Found
from .plan import Plan
from .weights import WHOLE


def classification(found: Found, plan: Plan, base, new: str, kind, weights) -> list:
    data, side = data_texts(found, new), plan.scale[0]
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
        *worker_lines(plan),
        "    sampler=dict(type='InfiniteSampler', shuffle=True),",
        f'    dataset=dict(pipeline=train_pipeline, {data["train"]}, **dataset),',
        ')',
        'val_dataloader = dict(',
        f'    batch_size={plan.batch},',
        *worker_lines(plan),
        f'    dataset=dict(pipeline=test_pipeline, {data["val"]}, **dataset),',
        ')',
        'test_dataloader = val_dataloader',
        f"val_evaluator = dict(_delete_=True, type='Accuracy'{top})",
        'test_evaluator = val_evaluator',
        '',
        'data_preprocessor = dict(num_classes=len(classes))',
    ]
    backbone = f'{backbone_text(base, kind, weights)}, ' if kind != WHOLE else ''
    return [*lines, f'model = dict({backbone}head=dict(num_classes=len(classes)))']
