"""Validations that a kill cut off, made up for when training resumes."""

import json
import os
from pathlib import Path
from typing import Optional

from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.logging import print_log
from mmengine.optim.scheduler import ReduceOnPlateauParamScheduler

from mmsterf.registry import HOOKS

RECORD = 'last_validation.json'


@HOOKS.register_module()
class MissedValidationHook(Hook):
    """Make up for a validation that was due at the checkpoint that a training resumes from, and did not finish.

    Checkpoints are written before the validation of their epoch. What a finished one found out (the best score and the
    file that has it) is therefore kept beside them, in `last_validation.json`, and restored; after an unfinished one,
    and where the training itself depends on scores (ReduceOnPlateau, EarlyStoppingHook), the validation runs again,
    and its scores, its point of the curves and the best checkpoint are as if nothing had happened.
    """

    priority = 'LOWEST'

    def before_train(self, runner) -> None:
        """Validate, or restore what a finished validation found."""
        if not runner._resume or not _is_due(runner):
            return
        record = _read(runner) if not _is_needed(runner) else None
        if record is None:
            print_log(f'validation at {_step(runner)} had not finished when training stopped: now', logger='current')
            runner.val_loop.run()
            return
        for key, value in record['info'].items():
            runner.message_hub.update_info(key, value)
        for hook in runner.hooks:
            _restore_best(hook, record['info'])

    def after_val_epoch(self, runner, metrics: Optional[dict] = None) -> None:
        """Note that the validation of this step is done, behind all other hooks."""
        if runner._train_loop is None or isinstance(runner._train_loop, dict) or not is_main_process():
            return
        info = {k: v for k, v in runner.message_hub.runtime_info.items() if k.startswith(('best_score', 'best_ckpt'))}
        path = Path(runner.work_dir, RECORD)
        unfinished = path.with_name(f'{path.name}.{os.getpid()}.unfinished')
        unfinished.write_text(json.dumps({'step': _step(runner), 'info': info}, default=float))
        os.replace(unfinished, path)


def _step(runner) -> str:
    return f'epoch {runner.epoch}, iteration {runner.iter}'


def _is_due(runner) -> bool:
    loop = runner.train_loop
    if runner.val_loop is None or runner.iter == 0 or not hasattr(loop, '_decide_current_val_interval'):
        return False
    loop._decide_current_val_interval()
    by_epoch = not hasattr(loop, 'dataloader_iterator')  # mmengine's two loops count differently
    now, last = (loop.epoch, loop.max_epochs) if by_epoch else (loop.iter, loop.max_iters)
    if by_epoch and loop.iter != loop.epoch * len(loop.dataloader):
        return False  # from a checkpoint within an epoch
    return now >= loop.val_begin and (now % loop.val_interval == 0 or now == last)


def _is_needed(runner) -> bool:
    """Whether anything that the checkpoint does not hold depends on the scores."""
    schedulers = runner.param_schedulers or []
    lists = schedulers.values() if isinstance(schedulers, dict) else [schedulers]
    plateau = any(isinstance(s, ReduceOnPlateauParamScheduler) for group in lists for s in group)
    return plateau or any(isinstance(hook, EarlyStoppingHook) for hook in runner.hooks)


def _read(runner) -> Optional[dict]:
    """What was noted of the validation of this step; the same in all processes."""
    found = [None]
    if is_main_process():
        try:
            record = json.loads(Path(runner.work_dir, RECORD).read_text())
            found = [record if record['step'] == _step(runner) and isinstance(record['info'], dict) else None]
        except (OSError, ValueError, KeyError, TypeError):
            pass
    broadcast_object_list(found)
    return found[0]


def _restore_best(hook: Hook, info: dict) -> None:
    """Let a checkpoint hook know the best files, which it has looked up before."""
    if not getattr(hook, 'save_best', None):
        return
    if len(hook.key_indicators) == 1:
        hook.best_ckpt_path = info.get('best_ckpt', hook.best_ckpt_path)
    else:
        for key in hook.key_indicators:
            hook.best_ckpt_path_dict[key] = info.get(f'best_ckpt_{key}', hook.best_ckpt_path_dict.get(key))
