"""Trainings that are killed at random moments, and what must be the same afterwards."""

import json
import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import psutil
import torch
from tiny_tasks import ON_CPU, _run_tool, write_task

VARIANTS = {
    'detection': ('detection', 'default_hooks = dict(checkpoint=dict(max_keep_ckpts=2))'),
    'segmentation': ('segmentation', "default_hooks = dict(checkpoint=dict(interval=2, save_best='mIoU'))"),
    # Three iterations between steps: sums are open at the ends of epochs of four, and at every second iteration.
    'detection_accumulation': ('detection', 'optim_wrapper = dict(accumulative_counts=3)'),
    'segmentation_ema': (
        'segmentation',
        'optim_wrapper = dict(accumulative_counts=3)\ndefault_hooks = dict(checkpoint=dict(interval=2))\n'
        "custom_hooks = [dict(type='EMAHook', ema_type='MomentumAnnealingEMA', begin_iter=3)]",
    ),
}
"""Base task, and settings on top of it."""
LENGTH = {'detection': 'train_cfg = dict(max_epochs=3)', 'segmentation': 'train_cfg = dict(max_iters=9)'}
SCORES = ('mIoU', 'coco/bbox_mAP')
KILLS_OF_A_RUN = 3
SECONDS_TO_END = 10
"""How long a process may outlive the one that started it; torch's workers look every five seconds."""


@dataclass
class Run:
    """What happened to a training."""

    work_dir: Path
    kills: int = 0
    with_checkpoint: int = 0
    orphans: int = 0
    failure: str = ''


class Variant:
    """A kind of training, run once without a kill."""

    def __init__(self, name: str, folder: Path) -> None:
        task, text = VARIANTS[name]
        folder.mkdir(parents=True)
        base = write_task(folder, task)
        self.name, self.folder, self.whole = name, folder, folder / 'whole'
        self.config = folder / 'soak.py'
        # Workers for training and validation: what a kill may leave.
        loaders = ''.join(
            f'{part}_dataloader = dict(num_workers=2, persistent_workers=True)\n' for part in ('train', 'val')
        )
        self.config.write_text(f"_base_ = './{base.name}'\n{LENGTH[task]}\n{loaders}{text}\n")
        for attempt in ('import', 'whole'):  # the first one waits for the imports, the second one is timed
            start = time.monotonic()
            process = self._start(folder / attempt, folder / f'{attempt}.log')
            process.join()
            self.seconds = time.monotonic() - start
            if process.exitcode:
                raise RuntimeError(f'{name} fails without a kill:\n{(folder / f"{attempt}.log").read_text()[-3000:]}')

    def _start(self, work_dir: Path, log: Path, *more: str):
        context = get_context('forkserver')
        context.set_forkserver_preload(
            ['mmsterf.engine.cli', 'mmdet.models', 'mmdet.engine', 'mmseg.models', 'mmseg.engine']
        )
        os.environ.update(ON_CPU)
        options = ['--work-dir', str(work_dir), *more, '--cfg-options', 'randomness.seed=1']
        process = context.Process(target=_train, args=([str(self.config), *options], str(log)))
        process.start()
        return process

    def killed_run(self, number: int, rng: random.Random) -> Run:
        """Train, with kills at random moments of the time that a whole run takes, until the training is done."""
        run = Run(self.folder / f'killed_{number}')
        while not run.failure:
            log = self.folder / f'killed_{number}.log'
            process = self._start(run.work_dir, log, '--resume')
            process.join(rng.uniform(0.1, self.seconds) if run.kills < KILLS_OF_A_RUN else None)
            if process.exitcode is None:
                run.with_checkpoint += any(run.work_dir.glob('*_*.pth'))
                os.kill(process.pid, signal.SIGKILL)
                process.join()
                run.kills += process.exitcode == -signal.SIGKILL
            elif process.exitcode:
                run.failure = f'status {process.exitcode}: {log.read_text()[-3000:]}'
            run.orphans += _end(process.pid)
            if process.exitcode == 0:
                return run
        return run


def _train(arguments: list, log: str) -> None:
    os.setsid()  # what it starts is known by its session, also when it is gone
    _run_tool('train', arguments, log, {})


def _living(session: int) -> Sequence[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except (ProcessLookupError, psutil.Error):
            continue
    return found


def _end(session: int) -> int:
    """How many processes of a session do not end by themselves; they are ended here."""
    for _ in range(SECONDS_TO_END * 5):
        if not _living(session):
            return 0
        time.sleep(0.2)
    left = _living(session)
    for process in left:
        process.kill()
    return len(left)


@dataclass
class Difference:
    """What differs between a killed and a whole run."""

    differing: list = field(default_factory=list)
    files: list = field(default_factory=list)

    def text(self) -> str:
        """In one line; empty if nothing differs."""
        parts = [f'{len(self.differing)} differ ({", ".join(self.differing[:3])})'] * bool(self.differing)
        return '; '.join(parts + [f'files: {", ".join(self.files)}'] * bool(self.files))


def compare(found: Path, expected: Path) -> Difference:
    """Weights, EMA, optimizer state of the last checkpoint bit for bit, scores of validations, and names of files."""
    difference = Difference()
    name = Path((expected / 'last_checkpoint').read_text().strip()).name
    names = [{path.name for path in folder.glob('*') if path.is_file()} for folder in (found, expected)]
    difference.files = sorted(names[0] ^ names[1])
    if not (found / name).is_file():
        difference.differing = [f'{name} is missing']
        return difference
    flat = [dict(_leaves(torch.load(folder / name, weights_only=True))) for folder in (found, expected)]
    for key in sorted(flat[0].keys() | flat[1].keys()):
        if key not in flat[0] or key not in flat[1] or not _equal(flat[0][key], flat[1][key]):
            difference.differing.append(key)
    if _scores(found) != _scores(expected):
        difference.differing.append(f'scores {_scores(found)} instead of {_scores(expected)}')
    return difference


def _leaves(checkpoint: dict):
    for part in ('state_dict', 'ema_state_dict', 'optimizer'):
        yield from _below(part, checkpoint.get(part, {}))


def _below(name: str, value):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _below(f'{name}.{key}', item)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _below(f'{name}.{index}', item)
    else:
        yield name, value


def _equal(one, other) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return torch.equal(one, other)
    return type(one) is type(other) and one == other


def _scores(work_dir: Path) -> dict:
    """Validation scores by step, of all parts of a training."""
    scores = {}
    for file in sorted(work_dir.glob('2*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            try:
                values = json.loads(line)
            except json.JSONDecodeError:  # cut off by a kill
                continue
            scores.update({(key, values['step']): values[key] for key in SCORES if key in values})
    return scores
