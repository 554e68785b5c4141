"""Windows of event recordings through an ordinary detection config: training, its hook, and tests."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mmsterf.engine import cli
from mmsterf.events import EVENT

prophesee = pytest.importorskip('evio.formats.prophesee')

ROOT = Path(__file__).parents[2]
HEIGHT, WIDTH = 48, 64

CONFIG = """
_base_=['{root}/configs/mask_rcnn_sdtv2_digits.py']
T = 2
neuron=dict(type='ILIF', normalize=False, time_steps=T)
model=dict(type='mmsterf.FasterRCNN',
  data_preprocessor=dict(_delete_=True,type='mmsterf.SequenceDetDataPreprocessor',time_steps=T,pad_size_divisor=16),
  backbone=dict(in_channels=2,time_steps=T,arch=dict(_delete_=True,embed_dims=(8,16,16,16))),
  neck=dict(in_channels=[8,16,16,16],out_channels=16,conv_cfg=dict(neuron=neuron)),
  rpn_head=dict(in_channels=16,feat_channels=16,neuron=neuron),
  roi_head=dict(_delete_=True,type='StandardRoIHead',
   bbox_roi_extractor=dict(type='mmsterf.SpikingRoIExtractor',time_steps=T,roi_layer=dict(type='RoIAlign',output_size=7,sampling_ratio=1),out_channels=16,featmap_strides={{{{_base_.model.roi_head.bbox_roi_extractor.featmap_strides}}}}),
   bbox_head=dict(type='mmsterf.SpikingConvFCBBoxHead',num_shared_convs=1,num_shared_fcs=1,in_channels=16,conv_out_channels=16,fc_out_channels=32,num_classes=1,roi_feat_size=7,conv_cfg=dict(type='mmsterf.SpikeConv2d',neuron=neuron),neuron=neuron,norm_cfg=dict(type='BN'),
     bbox_coder=dict(type='DeltaXYWHBBoxCoder',target_means=[0.,0.,0.,0.],target_stds=[0.1,0.1,0.2,0.2]),reg_class_agnostic=False,loss_cls=dict(type='CrossEntropyLoss',use_sigmoid=False,loss_weight=1.0),loss_bbox=dict(type='L1Loss',loss_weight=1.0))))
pipe=[dict(type='mmsterf.LoadEvents',time_steps=T,duration=200_000,clip=5),dict(type='LoadAnnotations',with_bbox=True)]
data=dict(type='mmsterf.EventCocoDataset',data_root='{folder}/',ann_file='ann.json',data_prefix=dict(img='rec/'),metainfo=dict(classes=('square',)))
train_dataloader=dict(_delete_=True,batch_size=2,num_workers=0,sampler=dict(type='DefaultSampler',shuffle=True),batch_sampler=dict(type='AspectRatioBatchSampler'),dataset=dict(pipeline=[*pipe,dict(type='RandomFlip',prob=0.5),dict(type='PackDetInputs')],**data))
val_dataloader=dict(_delete_=True,batch_size=2,num_workers=0,sampler=dict(type='DefaultSampler',shuffle=False),dataset=dict(test_mode=True,pipeline=[*pipe,dict(type='PackDetInputs',meta_keys=('img_id','img_path','ori_shape','img_shape','scale_factor'))],**data))
test_dataloader=val_dataloader
val_evaluator=dict(_delete_=True,type='CocoMetric',ann_file='{folder}/ann.json',metric='bbox')
test_evaluator=val_evaluator
train_cfg=dict(max_epochs=1)
param_scheduler=[]
custom_hooks=[dict(type='mmsterf.STERFHook', interval=0, inputs='val', num=2)]
default_hooks=dict(logger=dict(interval=2))
"""


def make_scenes(folder: Path) -> None:
    """Recordings of a square that moves to the right, with a box at two moments of each."""
    (folder / 'rec').mkdir()
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i in range(4):
        row, time = int(rng.integers(5, 20)), np.sort(rng.integers(0, 400_000, 4000))
        events = np.zeros(4000, EVENT)
        events['t'], events['p'] = time, rng.integers(0, 2, 4000)
        events['x'] = 5 + time * 30 // 400_000 + rng.integers(0, 16, 4000)
        events['y'] = row + rng.integers(0, 16, 4000)
        prophesee.write(folder / f'rec/{i}.dat', events, WIDTH, HEIGHT)
        for end in (200_000, 400_000):
            images.append(dict(id=len(images) + 1, file_name=f'{i}.dat', height=HEIGHT, width=WIDTH, event_end=end))
            box = [5 + 30 * end // 400_000 - 5, row, 20, 16]
            annotations.append(dict(id=len(images), image_id=len(images), category_id=1, bbox=box, area=320, iscrowd=0))
    categories = [dict(id=1, name='square')]
    content = dict(images=images, annotations=annotations, categories=categories)
    (folder / 'ann.json').write_text(json.dumps(content))


def test_a_detector_learns_from_windows(tmp_path, monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    torch.set_num_threads(1)
    make_scenes(tmp_path)
    config, work = tmp_path / 'events.py', tmp_path / 'work'
    config.write_text(CONFIG.format(root=ROOT, folder=tmp_path))
    runner = cli.train([str(config), '--work-dir', str(work)])
    lines = [json.loads(line) for line in next(work.rglob('scalars.json')).read_text().splitlines()]
    losses = [line['loss'] for line in lines if 'loss' in line]
    assert len(losses) == 2 and np.isfinite(losses).all()
    # Of the field over delays there is a picture too: the data had steps.
    assert sorted(path.stem.rpartition('_')[0] for path in work.rglob('st_erf*.png')) == ['st_erf', 'st_erf_temporal']
    items = runner.val_dataloader.dataset
    windows = [items[i]['inputs'].sum(0) for i in range(2)]
    assert windows[0].shape == (HEIGHT, WIDTH)
    # The second window of a recording holds what came later: the square has moved on.
    centres = [(window.sum(0) * torch.arange(WIDTH)).sum() / window.sum() for window in windows]
    assert 5 < centres[1] - centres[0] < 25
    plain, driven = (
        cli.test([str(config), str(work / 'epoch_1.pth'), '--work-dir', str(work), *options])
        for options in ([], ['--fold', '--spike-driven'])
    )
    assert plain.keys() == driven.keys() and plain['coco/bbox_mAP'] == pytest.approx(driven['coco/bbox_mAP'], abs=0.02)
