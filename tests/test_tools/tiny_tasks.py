"""Tiny detection and segmentation tasks: eight pictures each, small enough to train within seconds."""

import json
import multiprocessing
import os
import runpy
import socket
import subprocess
import sys
from pathlib import Path
from unittest import mock

import cv2
import numpy as np

ROOT = Path(__file__).parents[2]
IMAGES = 8
ON_CPU = {'OMP_NUM_THREADS': '1', 'CUDA_VISIBLE_DEVICES': ''}

DETECTION = """
_base_ = [
    'mmdet::_base_/models/faster-rcnn_r50_fpn.py',
    'mmdet::_base_/datasets/coco_detection.py',
    'mmdet::_base_/schedules/schedule_1x.py',
    'mmdet::_base_/default_runtime.py',
]
data_root = '{root}/'
classes = dict(classes=('light', 'dark'))
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(64, 48), keep_ratio=True),
    dict(type='LoadAnnotations', with_bbox=True),
    dict(type='PackDetInputs', meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'scale_factor')),
]
for_all = dict(data_root=data_root, metainfo=classes, ann_file='instances.json', data_prefix=dict(img='images/'))
train_dataloader = dict(
    batch_size=2, num_workers=1, persistent_workers=True, dataset=dict(pipeline=train_pipeline, **for_all)
)
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline, **for_all))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file=data_root + 'instances.json')
test_evaluator = val_evaluator
model = dict(
    data_preprocessor=dict(pad_size_divisor=1),
    backbone=dict(
        _delete_=True,
        type='mmsterf.MetaSDT',
        arch=dict(embed_dims=(8, 8, 16, 16)),
        mixer=dict(type='MLPixer', dropout=0.1),
        mlp_ratio=1,
        drop_path_rate=0.2,
    ),
    neck=dict(in_channels=[8, 8, 16, 16], out_channels=8),
    rpn_head=dict(in_channels=8, feat_channels=8, anchor_generator=dict(strides=[4, 8, 16, 16, 32])),
    roi_head=dict(
        bbox_roi_extractor=dict(
            out_channels=8, featmap_strides=[4, 8, 16, 16], roi_layer=dict(output_size=3, sampling_ratio=1)
        ),
        bbox_head=dict(in_channels=8, fc_out_channels=16, roi_feat_size=3, num_classes=2),
    ),
    train_cfg=dict(rpn_proposal=dict(nms_pre=50, max_per_img=20), rcnn=dict(sampler=dict(num=16))),
    test_cfg=dict(rpn=dict(nms_pre=50, max_per_img=20)),
)
train_cfg = dict(max_epochs=2)
default_hooks = dict(logger=dict(interval=1))
"""

SEGMENTATION = """
_base_ = [
    'mmseg::_base_/models/fpn_r50.py',
    'mmseg::_base_/datasets/ade20k.py',
    'mmseg::_base_/schedules/schedule_40k.py',
    'mmseg::_base_/default_runtime.py',
]
data_root = '{root}'
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='RandomCrop', crop_size=(32, 32)),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='PackSegInputs'),
]
for_all = dict(
    type='BaseSegDataset',
    reduce_zero_label=True,
    data_root=data_root,
    metainfo=dict(classes=('ground', 'light', 'dark'), palette=[[0, 0, 0], [255, 255, 255], [128, 128, 128]]),
    data_prefix=dict(img_path='images', seg_map_path='labels'),
)
train_dataloader = dict(batch_size=2, num_workers=1, dataset=dict(pipeline=train_pipeline, **for_all))
val_dataloader = dict(num_workers=0, persistent_workers=False, dataset=dict(pipeline=test_pipeline, **for_all))
test_dataloader = val_dataloader
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0] = [dict(type='Resize', scale_factor=ratio, keep_ratio=True) for ratio in (1.0, 1.5)]
model = dict(
    pretrained=None,
    data_preprocessor=dict(size=(32, 32)),
    backbone=dict(
        _delete_=True, type='mmsterf.MetaSDT', arch=dict(embed_dims=(8, 8, 16, 16)), mlp_ratio=1, drop_path_rate=0.2
    ),
    neck=dict(in_channels=[8, 8, 16, 16], out_channels=8),
    decode_head=dict(in_channels=[8] * 4, channels=8, feature_strides=[4, 8, 16, 16], num_classes=3),
)
train_cfg = dict(max_iters=6, val_interval=3)
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=3))
"""


def write_task(folder: Path, task: str) -> Path:
    """Write data and config of 'detection' or 'segmentation' into a folder; returns the config."""
    rng = np.random.default_rng(0)
    (folder / 'data/images').mkdir(parents=True)
    (folder / 'data/labels').mkdir()
    images, annotations = [], []
    for i in range(IMAGES):
        image = rng.integers(90, 130, (48, 64, 3), np.uint8)
        labels = np.ones((48, 64), np.uint8)
        for category, value in ((1, 250), (2, 10)):
            x, y = (int(v) for v in rng.integers(0, (44, 28)))
            image[y : y + 20, x : x + 20] = value
            labels[y : y + 20, x : x + 20] = category + 1
            annotations.append(
                {'id': len(annotations) + 1, 'image_id': i, 'category_id': category, 'bbox': [x, y, 20, 20]}
            )
            annotations[-1].update(area=400, iscrowd=0, segmentation=[[x, y, x + 20, y, x + 20, y + 20, x, y + 20]])
        images.append({'id': i, 'file_name': f'{i}.jpg', 'height': 48, 'width': 64})
        cv2.imwrite(str(folder / f'data/images/{i}.jpg'), image)
        cv2.imwrite(str(folder / f'data/labels/{i}.png'), labels)
    categories = [{'id': i, 'name': name, 'supercategory': 'square'} for i, name in ((1, 'light'), (2, 'dark'))]
    coco = {'images': images, 'annotations': annotations, 'categories': categories}
    (folder / 'data/instances.json').write_text(json.dumps(coco))
    config = folder / f'{task}.py'
    template = {'detection': DETECTION, 'segmentation': SEGMENTATION}[task]
    config.write_text(template.replace('{root}', str(folder / 'data')))
    return config


def run_tool(tool: str, *args, folder: Path, processes: int = 1, expect: int = 0, **env) -> str:
    """Run tools/train.py or tools/test.py from another folder, in processes of their own.

    Returns what the first one printed.

    They are forked from one that has imported the libraries, which saves most of their time.

    Args:
        processes (int): More than one are told of each other as torchrun does.
        expect (int): Exit code asserted of each; -9 if killed.
        **env (str): Environment variables.
    """
    context = _context()
    args = [str(arg) for arg in args]
    if processes > 1:
        args += ['--launcher', 'pytorch']
        env |= {'WORLD_SIZE': str(processes), 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': free_port()}
    logs = [folder / f'output_{rank}.log' for rank in range(processes)]
    started = []
    for rank, log in enumerate(logs):
        ranks = {'RANK': str(rank), 'LOCAL_RANK': str(rank)} if processes > 1 else {}
        started.append(context.Process(target=_run_tool, args=(tool, args, str(log), {**env, **ranks})))
        with mock.patch.dict(os.environ, ON_CPU):  # read by the fork server, which starts with the first process
            started[-1].start()
    for process, log in zip(started, logs):
        process.join()
        assert process.exitcode == expect, f'exit code {process.exitcode}: {log.read_text()[-5000:]}'
    return logs[0].read_text()


def start_tool(tool: str, *args, folder: Path) -> multiprocessing.Process:
    """As `run_tool` with one process, without waiting for it."""
    log = folder / 'output_started.log'
    process = _context().Process(target=_run_tool, args=(tool, [str(arg) for arg in args], str(log), {}))
    with mock.patch.dict(os.environ, ON_CPU):
        process.start()
    return process


def _context():
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(
        ['mmsterf.engine.cli', 'mmdet.models', 'mmdet.engine', 'mmseg.models', 'mmseg.engine']
    )
    return context


def _run_tool(tool: str, args: list, log: str, env: dict) -> None:
    with open(log, 'w') as file:
        for stream in (1, 2):
            os.dup2(file.fileno(), stream)
    os.environ.update(env)
    os.chdir(Path(log).parent)
    sys.argv = [str(ROOT / f'tools/{tool}.py'), *args]
    runpy.run_path(sys.argv[0], run_name='__main__')


def free_port() -> str:
    """A port that nobody listens to at the moment."""
    with socket.socket() as server:
        server.bind(('127.0.0.1', 0))
        return str(server.getsockname()[1])


def run_script(name: str, *args, cwd: Path, **env) -> subprocess.CompletedProcess:
    """Run a script of tools/ as a user does."""
    script = ROOT / 'tools' / name
    command = [sys.executable if name.endswith('.py') else 'bash', str(script), *map(str, args)]
    env = {**os.environ, **ON_CPU, 'PYTHON': sys.executable, **env}
    return subprocess.run(command, cwd=cwd, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
