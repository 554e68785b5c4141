"""The detection part of a config."""

from .config_parts import backbone_text, data_texts, worker_lines
from .found import Found
from .plan import Plan
from .weights import WHOLE

CHANNELS = {'cpu': 64, 'gpu': 256}
"""Of neck and heads that are trained from nothing."""

FEW = 100
"""Images, below which all classes share one box regression, and images keep their scale."""


def detection(found: Found, plan: Plan, base, new: str, kind, weights) -> list:
    data, c = data_texts(found, new), CHANNELS[plan.machine]
    masks, metric = (', with_mask=True', '') if found.masks else ('', ", metric='bbox'")
    few = found.counts['train'] < FEW
    lines = [
        'metainfo = dict(classes=classes)',
        f'scale = {plan.scale}  # images fit into it',
        '',
        'train_pipeline = [',
        "    dict(type='LoadImageFromFile'),",
        f"    dict(type='LoadAnnotations', with_bbox=True{masks}),",
        *(
            ["    dict(type='Resize', scale=scale, keep_ratio=True),"]
            if few
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
        *worker_lines(plan),
        "    sampler=dict(type='InfiniteSampler', shuffle=True),",
        '    dataset=dict(data_root=data_root, metainfo=metainfo, pipeline=train_pipeline,',
        f'        filter_cfg=dict(filter_empty_gt=False), {data["train"]}),',
        ')',
        'val_dataloader = dict(',
        *worker_lines(plan),
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
            f'num_classes=len(classes){", class_agnostic=True" * few}),',
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
        f'    {backbone_text(base, kind, weights)},',
        f'    neck=dict(out_channels={c}, norm_cfg=norm_cfg),',
        '    rpn_head=dict(',
        f'        in_channels={c},',
        f'        feat_channels={c},',
        f'        anchor_generator=dict(scales=[{plan.anchor_scale}], ratios={plan.ratios}),',
        '    ),',
        '    roi_head=dict(',
        '        bbox_roi_extractor=dict(',
        f'            out_channels={c}, finest_scale={plan.finest}, roi_layer=dict(sampling_ratio=2)',
        '        ),',
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
        *(['            reg_class_agnostic=True,  # one box for all classes: few images show each of them'] * few),
        '        ),',
        *mask_head,
        '    ),',
        '    train_cfg=dict(rpn_proposal=dict(nms_pre=300, max_per_img=150), rcnn=dict(sampler=dict(num=64))),',
        '    test_cfg=dict(rpn=dict(nms_pre=500, max_per_img=200)),',
        ')',
    ]


_FASTER = "type='mmsterf.FasterRCNN', "


def _ann_file(found: Found, new: str) -> str:
    return found.splits['val']['ann_file'] or f'{new}/val.json'
