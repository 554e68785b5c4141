"""Several gloo processes train, resume and evaluate; the scripts hand over what they are given."""

import json
import os
import re

import pytest
import torch
from tiny_tasks import ROOT, free_port, run_script, run_tool, write_task

WITHOUT_LAST_STAGE = """
model['backbone'].update(out_indices=(1, 2, 3))
model['neck'].update(in_channels=[8, 8, 16], num_outs=3)
model['decode_head'].update(in_channels=[8] * 3, in_index=[0, 1, 2], feature_strides=[4, 8, 16])
"""
"""DDP would wait for gradients of weights that no loss depends on."""


def test_two_processes_train_resume_and_evaluate(tmp_path):
    config = write_task(tmp_path, 'segmentation')
    with config.open('a') as file:
        file.write(WITHOUT_LAST_STAGE)
    seed = ('--cfg-options', 'randomness.seed=3')
    whole, halves = tmp_path / 'whole', tmp_path / 'halves'

    together = {'folder': tmp_path, 'processes': 2}
    printed = run_tool('train', config, '--work-dir', whole, *seed, **together)
    assert printed.count('SyncBN has no CPU kernel: BN instead') == 1
    assert re.search(r'Distributed launcher: pytorch\s+Distributed training: True\s+GPU number: 2', printed)

    run_tool('train', config, '--work-dir', halves, *seed, 'train_cfg.max_iters=3', **together)
    done = run_script('dist_train.sh', config, 2, '--work-dir', halves, '--resume', cwd=tmp_path, PORT=free_port())
    assert done.returncode == 0, done.stdout[-5000:]
    resumed, expected = (torch.load(path / 'iter_6.pth', weights_only=True) for path in (halves, whole))
    for name, tensor in expected['state_dict'].items():
        assert torch.equal(resumed['state_dict'][name], tensor), name
    assert _losses(halves) == _losses(whole) and len(_losses(whole)) == 6

    arguments = ('test', config, whole / 'iter_6.pth', '--work-dir', tmp_path / 'test')
    scores = [
        re.findall(r'aAcc: \S+  mIoU: \S+  mAcc: \S+', run_tool(*arguments, folder=tmp_path, processes=processes))
        for processes in (1, 2)
    ]
    assert len(scores[0]) == 1 and scores[0] == scores[1]


def _losses(work_dir) -> list:
    """Training losses logged by all runs into a work dir."""
    lines = [line for log in sorted(work_dir.glob('*/vis_data/scalars.json')) for line in log.open()]
    return [record['loss'] for record in map(json.loads, lines) if 'loss' in record]


@pytest.fixture
def cluster(tmp_path) -> dict:
    """Environment with stand-ins for Slurm that say what they are asked, and a python that prints its arguments."""
    scripts = {
        'srun': 'while [ "${1#-}" != "$1" ]; do echo "srun $1"; shift; done; SLURM_NODEID=1 SLURM_JOB_NODELIST=n "$@"',
        'scontrol': 'printf "first\\nsecond\\n"',
        'python': 'echo "python $*; OMP_NUM_THREADS=$OMP_NUM_THREADS"',
    }
    for name, body in scripts.items():
        (tmp_path / name).write_text(f'#!/usr/bin/env bash\n{body}\n')
        (tmp_path / name).chmod(0o755)
    return {'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'PYTHON': 'python', 'cwd': ROOT}


def test_dist_scripts_start_torchrun_over_several_machines(cluster):
    nodes = {'NNODES': '3', 'NODE_RANK': '2', 'MASTER_ADDR': 'first', 'PORT': '2950'}
    flags = (
        '-m mmsterf.engine.launch --nnodes=3 --node_rank=2 --master_addr=first --master_port=2950 --nproc_per_node=2'
    )
    train = run_script('dist_train.sh', 'config.py', 2, '--amp', '--cfg-options', 'a=b c', **nodes, **cluster).stdout
    assert (
        flags in train and 'train.py config.py --launcher pytorch --amp --cfg-options a=b c; OMP_NUM_THREADS=1' in train
    )
    test = run_script('dist_test.sh', 'config.py', 'x.pth', 2, '--tta', **nodes, **cluster).stdout
    assert flags in test and 'test.py config.py x.pth --launcher pytorch --tta;' in test


def test_slurm_starts_one_torchrun_per_machine(cluster):
    gpus = {'GPUS': '8', 'GPUS_PER_NODE': '4', 'PORT': '2950'}
    done = run_script('slurm_train.sh', 'part', 'job', 'config.py', 'out', '--amp', **gpus, **cluster)
    assert done.returncode == 0, done.stdout
    for option in ('--partition=part', '--job-name=job', '--nodes=2', '--ntasks-per-node=1', '--gres=gpu:4'):
        assert f'srun {option}\n' in done.stdout
    assert '--nnodes=2 --node_rank=1 --master_addr=first --master_port=2950 --nproc_per_node=4' in done.stdout
    assert 'train.py config.py --launcher pytorch --work-dir out --amp;' in done.stdout

    uneven = run_script('slurm_train.sh', 'part', 'job', 'config.py', 'out', **{**gpus, 'GPUS': '6'}, **cluster)
    assert uneven.returncode == 2 and 'GPUS=6 is not a multiple of GPUS_PER_NODE=4' in uneven.stdout


def test_scripts_name_their_arguments():
    for name in ('dist_train.sh', 'dist_test.sh', 'slurm_train.sh'):
        done = run_script(name, cwd=ROOT)
        assert done.returncode == 2 and done.stdout.startswith('usage: ') and 'CONFIG' in done.stdout
