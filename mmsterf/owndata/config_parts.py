"""What the configs of all tasks have: data sets, loaders and backbones, as text."""

from .found import Found
from .plan import Plan
from .weights import BACKBONE


def data_texts(found: Found, new: str) -> dict:
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


def worker_lines(plan: Plan) -> list:
    return [f'    num_workers={plan.workers},', f'    persistent_workers={plan.workers > 0},']


def _text(value) -> str:
    if isinstance(value, dict):
        return f'dict({", ".join(f"{key}={item!r}" for key, item in value.items())})'
    return repr(value)


def backbone_text(base, kind, weights) -> str:
    """Settings of a backbone that is trained from nothing, or where its weights are."""
    if kind == BACKBONE:
        return f"backbone=dict(init_cfg=dict(type='Pretrained', checkpoint={weights!r}, prefix='backbone.'))"
    mixer = 'mixer=dict(dropout=0.0), ' if base.model.backbone.mixer.get('dropout') else ''
    return f'backbone=dict({mixer}attention_scale={ATTENTION!r})'


ATTENTION = 'tokens'
"""Of new trainings: does not saturate at large images. Weights that were trained with 'published' keep that."""
