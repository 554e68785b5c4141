# As sdt_mlpixer_digits.py, the backbone of semantic_fpn_sdt_mlpixer_digits.py, which sees scenes at half their size: so
# do the pictures shrink.
_base_ = './sdt_mlpixer_digits.py'

model = dict(backbone=dict(arch=dict(embed_dims=(64, 96, 96, 96))))
pipeline = [dict(type='LoadImageFromFile'), dict(type='Resize', scale=(24, 24)), dict(type='PackInputs')]
train_dataloader = dict(dataset=dict(pipeline=pipeline))
val_dataloader = dict(dataset=dict(pipeline=pipeline))
test_dataloader = val_dataloader
