"""Tiny detection and segmentation on windows of event recordings: squares that move to the right, two labels each."""

import json
from pathlib import Path

import cv2
import numpy as np

from mmsterf.events import EVENT

ROOT = Path(__file__).parents[2]
HEIGHT, WIDTH = 48, 64

DETECTION = """
_base_=['{root}/configs/mask_rcnn_sdtv2_digits.py']
T = 2
neuron=dict(type='ILIF', normalize=False, time_steps=T)
model=dict(type='mmsterf.FasterRCNN',
  data_preprocessor=dict(_delete_=True,type='mmsterf.SequenceDetDataPreprocessor',time_steps=T,pad_size_divisor=16),
  backbone=dict(in_channels=2,time_steps=T,arch=dict(_delete_=True,embed_dims=(8,16,16,16))),
  neck=dict(in_channels=[8,16,16,16],out_channels=16,conv_cfg=dict(neuron=neuron)),
  rpn_head=dict(in_channels=16,feat_channels=16,neuron=neuron),
  roi_head=dict(_delete_=True,type='StandardRoIHead',
   bbox_roi_extractor=dict(type='mmsterf.SpikingRoIExtractor',time_steps=T,roi_layer=dict(type='RoIAlign',output_size=7,sampling_ratio=1),out_channels=16,featmap_strides={{_base_.model.roi_head.bbox_roi_extractor.featmap_strides}}),
   bbox_head=dict(type='mmsterf.SpikingConvFCBBoxHead',num_shared_convs=1,num_shared_fcs=1,in_channels=16,conv_out_channels=16,fc_out_channels=32,num_classes=1,roi_feat_size=7,conv_cfg=dict(type='mmsterf.SpikeConv2d',neuron=neuron),neuron=neuron,norm_cfg=dict(type='BN'),
     bbox_coder=dict(type='DeltaXYWHBBoxCoder',target_means=[0.,0.,0.,0.],target_stds=[0.1,0.1,0.2,0.2]),reg_class_agnostic=False,loss_cls=dict(type='CrossEntropyLoss',use_sigmoid=False,loss_weight=1.0),loss_bbox=dict(type='L1Loss',loss_weight=1.0))))
pipe=[dict(type='mmsterf.LoadEvents',time_steps=T,duration=200_000,clip=5),dict(type='LoadAnnotations',with_bbox=True)]
data=dict(type='mmsterf.EventCocoDataset',data_root='{folder}/',ann_file='ann.json',data_prefix=dict(img='rec/'),metainfo=dict(classes=('square',)))
train_dataloader=dict(_delete_=True,batch_size=2,num_workers=0,sampler=dict(type='DefaultSampler',shuffle=True),batch_sampler=dict(type='AspectRatioBatchSampler'),dataset=dict(pipeline=[*pipe,dict(type='RandomFlip',prob=0.5),dict(type='PackDetInputs')],**data))
val_dataloader=dict(_delete_=True,batch_size=2,num_workers=0,sampler=dict(type='DefaultSampler',shuffle=False),dataset=dict(test_mode=True,pipeline=[*pipe,dict(type='PackDetInputs',meta_keys=('img_id','img_path','ori_shape','img_shape','scale_factor'))],**data))
test_dataloader=val_dataloader
val_evaluator=dict(_delete_=True,type='mmsterf.EventCocoMetric',ann_file='{folder}/ann.json',metric='bbox')
test_evaluator=val_evaluator
train_cfg=dict(_delete_=True,type='EpochBasedTrainLoop',max_epochs=1)
log_processor=dict(by_epoch=True)
param_scheduler=[]
custom_hooks=[dict(type='mmsterf.STERFHook', interval=0, inputs='val', num=2),dict(type='mmsterf.FiringRateHook', interval=1)]
default_hooks=dict(logger=dict(interval=2,log_metric_by_epoch=True),checkpoint=dict(by_epoch=True,interval=1))
"""  # noqa: E501
SEGMENTATION = """
_base_=['mmseg::_base_/default_runtime.py','mmseg::_base_/schedules/schedule_40k.py','{root}/configs/_base_/models/semantic_fpn_sdt.py']
T = 2
neuron=dict(type='ILIF', normalize=False, time_steps=T)
model=dict(type='mmsterf.SequenceEncoderDecoder',
  data_preprocessor=dict(_delete_=True,type='mmsterf.SequenceSegDataPreprocessor',time_steps=T,size=(48,64),pad_val=0,seg_pad_val=255,test_cfg=dict(size_divisor=16)),
  backbone=dict(_delete_=True,type='mmsterf.MetaSDTv2',in_channels=2,time_steps=T,output='folded',out_indices=(0,1,2,4),arch=dict(embed_dims=(8,8,16,16),depths=(1,1,1,1,1))),
  neck=dict(in_channels=[4,8,8,16],out_channels=8,conv_cfg=dict(neuron=neuron)),
  decode_head=dict(in_channels=[8]*4,channels=8,num_classes=2,neuron=neuron))
load=dict(type='mmsterf.LoadEvents',time_steps=T,duration=200_000,clip=5)
data=dict(type='mmsterf.DSECSemanticDataset',data_root='{folder}',size=(48,64),metainfo=dict(classes=('ground','square'),palette=[[128,128,128],[250,200,0]]),data_prefix=dict(img_path='rec_seg',seg_map_path='maps'))
train_dataloader=dict(batch_size=2,num_workers=0,sampler=dict(type='InfiniteSampler',shuffle=True),dataset=dict(**data,pipeline=[load,dict(type='LoadAnnotations'),dict(type='RandomCrop',crop_size=(32,48)),dict(type='RandomFlip',prob=0.5),dict(type='PackSegInputs')]))
val_dataloader=dict(batch_size=1,num_workers=0,sampler=dict(type='DefaultSampler',shuffle=False),dataset=dict(**data,pipeline=[load,dict(type='LoadAnnotations'),dict(type='PackSegInputs')]))
test_dataloader=val_dataloader
val_evaluator=dict(type='IoUMetric',iou_metrics=['mIoU'])
test_evaluator=val_evaluator
tta_model=dict(type='SegTTAModel')
tta_pipeline=[load,dict(type='TestTimeAug',transforms=[[dict(type='Resize',scale_factor=r,keep_ratio=True) for r in (1.0,1.5)],[dict(type='RandomFlip',prob=p,direction='horizontal') for p in (0.,1.)],[dict(type='LoadAnnotations')],[dict(type='PackSegInputs')]])]
train_cfg=dict(max_iters=4,val_interval=4)
default_hooks=dict(logger=dict(interval=1),checkpoint=dict(interval=2))
"""  # noqa: E501


def write_events(folder: Path) -> None:
    """Recordings with boxes (`ann.json`), and the same in the layout of DSEC with label maps (`rec_seg`, `maps`)."""
    from evio.formats import prophesee

    (folder / 'rec').mkdir()
    rng = np.random.default_rng(0)
    images, annotations = [], []
    for i in range(4):
        row, time = int(rng.integers(5, 20)), np.sort(rng.integers(0, 400_000, 4000))
        events = np.zeros(4000, EVENT)
        events['t'], events['p'] = time, rng.integers(0, 2, 4000)
        events['x'] = 5 + time * 30 // 400_000 + rng.integers(0, 16, 4000)
        events['y'] = row + rng.integers(0, 16, 4000)
        places = [folder / 'rec', folder / f'rec_seg/{i}', folder / f'maps/{i}/11classes']
        for place in places:
            place.mkdir(parents=True, exist_ok=True)
        prophesee.write(folder / f'rec/{i}.dat', events, WIDTH, HEIGHT)
        prophesee.write(folder / f'rec_seg/{i}/events.dat', events, WIDTH, HEIGHT)
        for end in (200_000, 400_000):
            images.append(dict(id=len(images) + 1, file_name=f'{i}.dat', height=HEIGHT, width=WIDTH, event_end=end))
            x, y, w, h = box = [5 + 30 * end // 400_000 - 5, row, 20, 16]
            annotations.append(dict(id=len(images), image_id=len(images), category_id=1, bbox=box, area=320, iscrowd=0))
            labels = np.zeros((HEIGHT, WIDTH), np.uint8)
            labels[y : y + h, x : x + w] = 1
            cv2.imwrite(str(places[2] / f'{end:09d}.png'), labels)
        # No later than the last event.
        (folder / f'maps/{i}/timestamps.txt').write_text(f'200000\n{int(time[-1])}\n')
    categories = [dict(id=1, name='square')]
    protocol = dict(skip=0, min_diagonal=5, min_side=5, tolerance=50_000)
    content = dict(images=images, annotations=annotations, categories=categories, info=dict(protocol=protocol))
    (folder / 'ann.json').write_text(json.dumps(content))


def write_config(folder: Path, task: str) -> Path:
    """Config of 'detection' or 'segmentation' on the data of `write_events` in the same folder."""
    config = folder / f'event_{task}.py'
    text = {'detection': DETECTION, 'segmentation': SEGMENTATION}[task]
    config.write_text(text.replace('{root}', str(ROOT)).replace('{folder}', str(folder)))
    return config
