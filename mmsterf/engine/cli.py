"""Command lines of tools/train.py and tools/test.py, with mmdet's flags, for detection and segmentation alike."""

import argparse
import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Optional

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmsterf.errors import InvalidInput, command_line, keep
from mmsterf.hooks.finite_hook import FiniteHook

from . import arguments
from .allocator import keep_freed_memory
from .cfg_options import add_cfg_options
from .checkpoints import allow_mmengine_checkpoints, check_checkpoint
from .checks import ClassCountHook, check_classes, check_model, check_start, check_weights, still_there
from .config import allow_no_workers, load_config
from .data import check_data, check_labels_when_read, name_files_that_fail
from .data_checks import check_contents, log_findings, refuse
from .device import adapt_to_device, enable_amp
from .inherited import inherited_settings
from .orphans import end_with_parent
from .outputs import ResultFolder, check_new_file, check_writable, leave_nothing
from .resuming import find_checkpoint, prepare_resume
from .runner import build_runner
from .sequences import check_sequences
from .settings import check_settings
from .testing import (
    BackendHook,
    FoldHook,
    ShowDirHook,
    SpikeDrivenHook,
    augment_at_test_time,
    check_backend_arguments,
    check_predictions,
    draw_events,
    show_predictions,
    write_predictions,
)
from .work_dir import held, set_aside

ADDED = ('mmsterf.IterationSeedHook', 'mmsterf.MissedValidationHook', 'SyncBuffersHook')
"""Hooks that every training gets."""


@command_line()
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
    keep_freed_memory()
    allow_mmengine_checkpoints()
    end_with_parent()
    cfg, users = _config(args, 'train')
    check_data(cfg, ('train', 'val'))
    refuse(reports := check_contents(cfg, ('train', 'val', 'test'), args.check_data))
    resume = args.resume or (cfg.get('resume') and (cfg.get('load_from') or 'auto'))
    check_checkpoint(cfg.get('load_from'))
    if args.amp:
        enable_amp(cfg)
    if args.auto_scale_lr:
        if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
            raise InvalidInput(f'--auto-scale-lr needs auto_scale_lr.base_batch_size, which {args.config} lacks')
        cfg.auto_scale_lr.enable = True
    make_resumable(cfg)
    with keep(lambda: _kept(cfg.work_dir)), leave_nothing(cfg.work_dir), held(cfg.work_dir):
        if resume:
            prepare_resume(cfg, resume, users)
        with nullcontext() if resume else set_aside(cfg):
            adapt_to_device(cfg, args.launcher)
            runner = checked_runner(cfg, users)
            log_findings(reports)
            check_start(runner.model, cfg.get('load_from'), bool(cfg.get('resume')))
        if settings := inherited_settings(users):
            text = f'inherited, and made for other data: {", ".join(settings)}; set in {args.config} what yours need'
            print_log(text, logger='current', level=logging.WARNING)
        runner.train()
    return runner


def _kept(work_dir: str) -> str:
    """What an interrupted training leaves."""
    last = find_checkpoint(work_dir)
    return f'{last} is kept, and the same command with --resume goes on from it' if last else 'no checkpoint yet'


@command_line('no metrics')
def test(argv: Optional[Sequence[str]] = None) -> dict:
    """Test a checkpoint; returns the metrics."""
    parser = _parser('Test and evaluate a detector or a segmentor')
    parser.add_argument('checkpoint', help='checkpoint file or URL')
    parser.add_argument(
        '--out',
        type=arguments.file_name,
        help='keep predictions: a .pkl file (detection), a folder of label maps (segmentation)',
    )
    parser.add_argument('--show', action='store_true', help='show predictions on screen')
    parser.add_argument('--show-dir', type=arguments.file_name, help='folder to draw predictions into')
    parser.add_argument('--force', action='store_true', help='overwrite files in --out and --show-dir')
    parser.add_argument(
        '--wait-time', type=arguments.number(0, 10**6), default=2, help='seconds between pictures of --show'
    )
    parser.add_argument('--tta', action='store_true', help='test-time augmentation')
    parser.add_argument(
        '--spike-driven', action='store_true', help='expand integer counts into binary spikes in front of every weight'
    )
    parser.add_argument('--fold', action='store_true', help='fold RepConv and batch norms into convolutions first')
    parser.add_argument(
        '--backend',
        choices=arguments.BACKENDS,
        default='torch',
        help='what runs the networks, folded (nnpack: PyTorch, with other 3x3 convolutions; openvino+nnpack: each '
        'network where it is faster); data and results are prepared in PyTorch as ever',
    )
    parser.add_argument(
        '--precision', choices=['f32', 'bf16'], default='f32', help='of --backend openvino (default f32)'
    )
    args = _parse(parser, argv)
    elsewhere = args.backend != 'torch' or args.precision != 'f32'
    if elsewhere:
        check_backend_arguments(args)
    keep_freed_memory()
    allow_mmengine_checkpoints()
    check_checkpoint(args.checkpoint)
    end_with_parent()
    cfg, users = _config(args, 'test')
    check_data(cfg, ('test',))
    refuse(reports := check_contents(cfg, ('test',), args.check_data))
    cfg.load_from, cfg.resume = args.checkpoint, False
    with ExitStack() as outputs:
        outputs.enter_context(leave_nothing(cfg.work_dir))
        if args.show or args.show_dir:
            show_predictions(cfg, args.show, args.show_dir, args.wait_time)
        if args.show_dir:
            outputs.enter_context(ResultFolder('--show-dir', args.show_dir, 'test.py', args.force))
        if args.out:
            write_predictions(cfg, outputs.enter_context(_predictions(cfg, args.out, args.force)))
        if args.tta:
            augment_at_test_time(cfg)
        adapt_to_device(cfg, args.launcher)
        runner = checked_runner(cfg, users)
        log_findings(reports)
        check_weights(runner.model, args.checkpoint)
        if args.fold:
            runner.register_hook(FoldHook())
        if elsewhere:
            runner.register_hook(BackendHook(args.backend, args.precision))
        if args.spike_driven:
            runner.register_hook(SpikeDrivenHook())
        if args.show_dir:
            runner.register_hook(ShowDirHook(args.show_dir))
        with still_there(args.checkpoint):
            return runner.test()


@contextmanager
def _predictions(cfg: Config, out: str, force: bool):
    """Where to write predictions to; a file has its name when it is whole."""
    check_predictions(cfg, out)
    if cfg.default_scope == 'mmseg':
        with ResultFolder('--out', out, 'test.py', force):
            yield out
        return
    check_new_file('--out', out, force)
    path = Path(out).absolute()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'.{os.getpid()}.{path.name}')
    try:
        yield str(part)
        if part.exists():  # the first of several processes writes
            os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


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
    added = [{'type': name} for name in ADDED if name not in present]
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), *added]
    loader = cfg.get('train_dataloader') or {}
    name = 'mmsterf.engine.sampling.NumberedBatchSampler'
    if 'sampler' in loader and (loader.get('batch_sampler') or {}).get('type') != name:
        loader.batch_sampler = {
            'type': name,
            'drop_last': loader.pop('drop_last', False),
            'batch_sampler': loader.get('batch_sampler'),
        }


def checked_runner(cfg: Config, users: Config) -> Runner:
    """Build the runner of a config, with what every tool checks: model, classes, files when read, numbers.

    Args:
        cfg (Config): What to run, see `build_runner`.
        users (Config): The user's config.
    """
    runner = build_runner(cfg, users)
    check_model(runner.model)
    check_classes(runner.model, cfg)
    name_files_that_fail(runner)
    runner.register_hook(ClassCountHook())
    runner.register_hook(FiniteHook())
    return runner


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', type=arguments.file_name, help='config file')
    parser.add_argument(
        '--work-dir', type=arguments.file_name, help='folder of logs and results, ./work_dirs/CONFIG_NAME by default'
    )
    parser.add_argument(
        '--check-data', action='store_true', help='read every image and label map before a model is built'
    )
    add_cfg_options(parser)
    parser.add_argument(
        '--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none', help='how processes were started'
    )
    parser.add_argument(
        '--local_rank', '--local-rank', type=arguments.whole(0), default=0, help='set by some launchers'
    )
    return parser


def _parse(parser: argparse.ArgumentParser, argv: Optional[Sequence[str]]) -> argparse.Namespace:
    args = parser.parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def _config(args: argparse.Namespace, mode: str) -> tuple[Config, Config]:
    """The config to run, and a copy of it as it is the user's."""
    cfg = load_config(args.config, args.cfg_options)
    check_settings(cfg, mode)
    cfg.launcher = args.launcher
    # The command line wins over the config, and that over the config's name.
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(Path('work_dirs', Path(args.config).stem))
    users = deepcopy(cfg)
    check_sequences(cfg)
    draw_events(cfg)
    check_labels_when_read(cfg)
    allow_no_workers(cfg)
    check_writable('--work-dir', cfg.work_dir)
    return cfg, users
