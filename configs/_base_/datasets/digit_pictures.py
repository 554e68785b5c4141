# Pictures of one digit each (tools/dataset_converters/make_digit_scenes.py --task cls): handwriting of the training
# part on the grounds of the scenes. No flips: a mirrored digit is none.
data_root = '{{$MMSTERF_DIGIT_PICTURES_ROOT:data/digit_pictures}}/cls'
metainfo = dict(classes=tuple('0123456789'))
data_preprocessor = dict(num_classes=10, mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
pipeline = [dict(type='LoadImageFromFile'), dict(type='PackInputs')]
dataset = dict(type='CustomDataset', data_root=data_root, metainfo=metainfo, pipeline=pipeline)
loader = dict(num_workers=1, persistent_workers=True, collate_fn=dict(type='default_collate'))
train_dataloader = dict(
    batch_size=32,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(data_prefix='train', **dataset),
    **loader,
)
val_dataloader = dict(
    batch_size=100,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(data_prefix='val', test_mode=True, **dataset),
    **loader,
)
test_dataloader = val_dataloader
val_evaluator = dict(type='Accuracy', topk=1)
test_evaluator = val_evaluator
