"""Command lines of tools/train.py and tools/test.py, with mmdet's flags, for detection and segmentation alike."""

import argparse
import os
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Optional

from mmengine.config import Config, DictAction
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from mmsterf.errors import InvalidInput, exit_on_error
from mmsterf.hooks.finite_hook import FiniteHook

from .checkpoints import allow_mmengine_checkpoints, check_checkpoint, prepare_resume
from .checks import ClassCountHook, check_model, check_weights
from .config import allow_no_workers, load_config
from .data import check_data, check_labels_when_read
from .device import adapt_to_device, enable_amp
from .testing import (
    FoldHook,
    SpikeDrivenHook,
    augment_at_test_time,
    show_predictions,
    write_predictions,
)

_RUNS = count()


def train(argv: Optional[Sequence[str]] = None) -> Runner:
    """Train a model; returns the runner when training is done."""
    parser = _parser('Train a detector or a segmentor')
    parser.add_argument('--amp', action='store_true', help='automatic mixed precision (bfloat16 on CPU)')
    parser.add_argument('--auto-scale-lr', action='store_true', help='scale the learning rate by the batch size')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='go on from a checkpoint; without a value, from the last one in the work dir',
    )
    args = _parse(parser, argv)
    allow_mmengine_checkpoints()
    with exit_on_error():
        cfg = _config(args)
        check_data(cfg, ('train', 'val'))
        if resume := args.resume or (cfg.get('resume') and (cfg.get('load_from') or 'auto')):
            prepare_resume(cfg, resume)
        check_checkpoint(cfg.get('load_from'))
        if args.amp:
            enable_amp(cfg)
        if args.auto_scale_lr:
            if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
                raise ValueError(f'--auto-scale-lr needs auto_scale_lr.base_batch_size, which {args.config} lacks')
            cfg.auto_scale_lr.enable = True
        make_resumable(cfg)
        adapt_to_device(cfg, args.launcher)
    runner = _runner(cfg)
    with exit_on_error(InvalidInput):
        runner.train()
    return runner


def test(argv: Optional[Sequence[str]] = None) -> dict:
    """Test a checkpoint; returns the metrics."""
    parser = _parser('Test and evaluate a detector or a segmentor')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument(
        '--out', help='keep predictions: a .pkl file (detection), a folder of label maps (segmentation)'
    )
    parser.add_argument('--show', action='store_true', help='show predictions on screen')
    parser.add_argument('--show-dir', help='folder to draw predictions into')
    parser.add_argument('--wait-time', type=float, default=2, help='seconds between pictures of --show')
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument(
        '--spike-driven', action='store_true', help='expand integer counts into binary spikes in front of every weight'
    )
    parser.add_argument('--fold', action='store_true', help='fold RepConv and batch norms into convolutions first')
    args = _parse(parser, argv)
    allow_mmengine_checkpoints()
    with exit_on_error():
        check_checkpoint(args.checkpoint)
        cfg = _config(args)
        check_data(cfg, ('test',))
        cfg.load_from, cfg.resume = args.checkpoint, False
        if args.show or args.show_dir:
            show_predictions(cfg, args.show, args.show_dir, args.wait_time)
        if args.out:
            write_predictions(cfg, args.out)
        if args.tta:
            augment_at_test_time(cfg)
        adapt_to_device(cfg, args.launcher)
    runner = _runner(cfg)
    with exit_on_error():
        check_weights(runner.model, args.checkpoint)
    if args.fold:
        runner.register_hook(FoldHook())
    if args.spike_driven:
        runner.register_hook(SpikeDrivenHook())
    with exit_on_error(InvalidInput):
        return runner.test()


def make_resumable(cfg: Config) -> None:
    """Let a config write checkpoints that an interrupted training resumes from exactly.

    Stock settings are replaced (the checkpoint hook, the batch sampler of training); everything else stays.
    """
    hooks = {'checkpoint': {'type': 'CheckpointHook', 'interval': 1}, **(cfg.get('default_hooks') or {})}
    if hooks['checkpoint'] and hooks['checkpoint']['type'] == 'CheckpointHook':
        hooks['checkpoint'] = {**hooks['checkpoint'], 'type': 'mmsterf.SafeCheckpointHook'}
    cfg.default_hooks = hooks
    # SyncBuffersHook: all processes evaluate with the same running statistics of BN.
    present = [hook['type'] for hook in cfg.get('custom_hooks') or []]
    added = [{'type': name} for name in ('mmsterf.IterationSeedHook', 'SyncBuffersHook') if name not in present]
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), *added]
    loader = cfg.get('train_dataloader') or {}
    name = 'mmsterf.engine.sampling.NumberedBatchSampler'
    if 'sampler' in loader and (loader.get('batch_sampler') or {}).get('type') != name:
        loader.batch_sampler = {
            'type': name,
            'drop_last': loader.pop('drop_last', False),
            'batch_sampler': loader.get('batch_sampler'),
        }


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='folder of logs and results, ./work_dirs/CONFIG_NAME by default')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        help='settings that override the config, key=value; lists as key="[a,b]" or key=a,b without spaces. '
        'data_root=PATH moves all data sets and evaluators',
    )
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='how processes were started'
    )
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help='set by some launchers')
    return parser


def _parse(parser: argparse.ArgumentParser, argv: Optional[Sequence[str]]) -> argparse.Namespace:
    args = parser.parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def _config(args: argparse.Namespace) -> Config:
    cfg = load_config(args.config, args.cfg_options)
    cfg.launcher = args.launcher
    check_labels_when_read(cfg)
    allow_no_workers(cfg)
    # The command line wins over the config, and that over the config's name.
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs', Path(args.config).stem))
    return cfg


def _runner(cfg: Config) -> Runner:
    if cfg.get('visualizer'):
        # mmengine hands out the first visualizer of a name again, which writes to the folder of the run before.
        cfg.visualizer.name = f'{cfg.visualizer.get("name", "visualizer")}_{next(_RUNS)}'
    runner = RUNNERS.build(cfg) if 'runner_type' in cfg else Runner.from_cfg(cfg)
    with exit_on_error():
        check_model(runner.model)
    runner.register_hook(ClassCountHook())
    runner.register_hook(FiniteHook())
    return runner
