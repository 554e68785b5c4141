# Semantic FPN, Meta-SDT base with its convolutional mixer (the baseline), e 4, ADE20K 512x512, 160k.
_base_ = [
    './_base_/models/semantic_fpn_sdt.py',
    './_base_/datasets/ade20k.py',
    './_base_/schedules/semantic_fpn_160k.py',
    'mmseg::_base_/default_runtime.py',
]
