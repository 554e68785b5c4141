# N-CARS (folders train and test with cars and background, recordings of 100 ms in Prophesee's .dat): the classifier of
# the N-MNIST config, four steps. Recordings are of many sizes, of at most 100 x 120 pixels. Not trained here.
_base_ = './sdtv2_nmnist.py'

time_steps = 4
data_root = '{{$MMSTERF_NCARS_ROOT:data/ncars}}'
pipeline = [
    dict(type='mmsterf.LoadEvents', time_steps=time_steps, duration=100_000, clip=5, sensor=(100, 120)),
    dict(type='Resize', scale=(64, 64)),
    dict(type='PackInputs'),
]
dataset = dict(data_root=data_root, extensions=('.dat',), pipeline=pipeline)
train_dataloader = dict(dataset=dict(data_prefix='train', **dataset))
val_dataloader = dict(dataset=dict(data_prefix='test', **dataset))
test_dataloader = val_dataloader
model = dict(
    data_preprocessor=dict(time_steps=time_steps),
    backbone=dict(time_steps=time_steps),
    head=dict(num_classes=2),
)
