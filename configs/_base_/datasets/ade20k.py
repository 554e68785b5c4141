# ADE20K in data/ade/ADEChallengeData2016, or where the environment variable MMSTERF_ADE_ROOT says.
_base_ = 'mmseg::_base_/datasets/ade20k.py'

data_root = '{{$MMSTERF_ADE_ROOT:data/ade/ADEChallengeData2016}}'
train_dataloader = dict(batch_size=8, dataset=dict(data_root=data_root))
val_dataloader = dict(dataset=dict(data_root=data_root))
test_dataloader = val_dataloader
