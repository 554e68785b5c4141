# ADE20K in data/ade/ADEChallengeData2016, or where the environment variable MMSTERF_ADE_ROOT says.
_base_ = 'mmseg::_base_/datasets/ade20k.py'

data_root = '{{$MMSTERF_ADE_ROOT:data/ade/ADEChallengeData2016}}'
# mmseg's pipelines, with one more step behind the loading of labels.
check = dict(type='mmsterf.CheckLabelMap', num_classes=150)
train_pipeline = [*_base_.train_pipeline[:2], check, *_base_.train_pipeline[2:]]
test_pipeline = [*_base_.test_pipeline[:3], check, *_base_.test_pipeline[3:]]
tta_pipeline = _base_.tta_pipeline
tta_pipeline[-1]['transforms'].insert(-1, [check])
train_dataloader = dict(batch_size=8, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
