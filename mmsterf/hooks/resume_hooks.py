"""Hooks that make an interrupted and resumed training equal to an uninterrupted one."""

from contextlib import contextmanager

from mmengine.dist import all_reduce_params, get_rank
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import IterBasedTrainLoop

from mmsterf.engine.checkpoints import plain, restore_histories
from mmsterf.engine.sampling import NumberedBatchSampler, seed_everything
from mmsterf.registry import HOOKS

from .finite_hook import check_finite, kept


@HOOKS.register_module()
class IterationSeedHook(Hook):
    """Seed each training iteration by (seed, process, iteration).

    With `mmsterf.engine.sampling.NumberedBatchSampler`, which does the same for the data, nothing random depends on
    what happened before, in this process or in an earlier one.
    """

    priority = 'VERY_HIGH'

    def before_train(self, runner) -> None:
        """Tell the data loader which batches a resumed training has had, in all or in the epoch that it is in."""
        sampler, loop = runner.train_dataloader.batch_sampler, runner.train_loop
        if not isinstance(sampler, NumberedBatchSampler):
            return
        if isinstance(loop, IterBasedTrainLoop):
            sampler.first = runner.iter
        else:
            sampler.skip = max(runner.iter - runner.epoch * len(runner.train_dataloader), 0)

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Seed the training process."""
        seed_everything(runner.seed, get_rank(), runner.iter)


@HOOKS.register_module()
class SafeCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook, with checkpoints that survive a kill and load with weights_only.

    Local files are written whole or not at all, an old checkpoint is removed after the new one is there, log histories
    are stored as tensors, and buffers (the running statistics of BN) are averaged over the processes before saving. So
    are gradients that wait for the rest of their accumulation (`accumulative_counts`); the checkpoint has them too.

    Args:
        See mmengine.hooks.CheckpointHook.
    """

    def __init__(self, *args, backend_args=None, file_client_args=None, **kwargs) -> None:
        self._set_backend = backend_args is None and file_client_args is None
        self._gradients = None
        super().__init__(*args, backend_args=backend_args, file_client_args=file_client_args, **kwargs)

    def before_train(self, runner) -> None:
        """Choose how files are written."""
        if self._set_backend and '://' not in str(self.out_dir or runner.work_dir):
            self.backend_args = {'backend': 'mmsterf_atomic'}
        super().before_train(runner)
        if runner._resume:
            # Else a new best score would not be followed by a checkpoint of its step, as in an uninterrupted run.
            self.last_ckpt = runner.message_hub.runtime_info.get('last_ckpt', self.last_ckpt)
        if self._gradients:
            parameters = dict(bare(runner.model).named_parameters())
            for name, gradient in self._gradients.items():
                parameters[name].grad = gradient.to(parameters[name])
            runner.logger.info(f'{len(self._gradients)} accumulated gradients are those of the checkpoint')
            self._gradients = None

    def before_save_checkpoint(self, runner, checkpoint: dict) -> None:
        """Store log histories and numpy scalars as plain values, and gradients that wait for more."""
        if waiting := waiting_gradients(runner):
            checkpoint['accumulated_gradients'] = {name: gradient.cpu() for name, gradient in waiting.items()}
        for key in ('meta', 'message_hub', 'param_schedulers'):
            if key in checkpoint:
                checkpoint[key] = plain(checkpoint[key])

    def after_load_checkpoint(self, runner, checkpoint: dict) -> None:
        """Restore log histories; what is in the file is data, and mmengine would run a config named `config`."""
        if isinstance(checkpoint.get('meta'), dict):
            checkpoint['meta'].pop('config', None)
        gradients = checkpoint.pop('accumulated_gradients', None)
        if runner._resume:
            self._gradients = gradients
        if 'message_hub' in checkpoint:
            restore_histories(checkpoint['message_hub'])

    def _save_checkpoint_with_step(self, runner, step, meta) -> None:
        # The processes would go on with different statistics than a resumed run, where all have the saved ones.
        all_reduce_params(runner.model.buffers(), op='mean')
        _average_gradients(runner)
        # The same in all processes, so that all stop; the checkpoint of before stays.
        check_finite(runner.model, f'iteration {runner.iter + 1}', f'no checkpoint of it was written; {kept(runner)}')
        with self._removal_afterwards():
            super()._save_checkpoint_with_step(runner, step, meta)

    def _save_best_checkpoint(self, runner, metrics) -> None:
        if not self.save_best:
            return
        _average_gradients(runner)
        with self._removal_afterwards():
            super()._save_best_checkpoint(runner, metrics)

    @contextmanager
    def _removal_afterwards(self):
        """Collect what the body removes through `self.file_backend`, and remove it at the end."""
        backend, self.file_backend = self.file_backend, _LateRemoval(self.file_backend)
        try:
            yield
        finally:
            late, self.file_backend = self.file_backend, backend
        for remove, path in late.removals:
            remove(path)


def bare(model):
    """The model inside the wrapper for several processes, if there is one."""
    return model.module if is_model_wrapper(model) else model


def waiting_gradients(runner) -> dict:
    """Gradients by parameter that wait for more iterations before the optimizer steps; empty if none do."""
    wrapper = runner.optim_wrapper
    wrappers = wrapper.values() if isinstance(wrapper, OptimWrapperDict) else [wrapper]
    if not any(isinstance(w, OptimWrapper) and w._inner_count % w._accumulative_counts for w in wrappers):
        return {}
    return {name: p.grad for name, p in bare(runner.model).named_parameters() if p.grad is not None}


def _average_gradients(runner) -> None:
    """Give all processes the mean of their waiting gradients, which is what a resumed run has in all of them."""
    if waiting := waiting_gradients(runner):
        all_reduce_params(iter(waiting.values()), op='mean')


class _LateRemoval:
    """A file backend that notes removals instead of doing them."""

    def __init__(self, backend) -> None:
        self._backend = backend
        self.removals = []

    def __getattr__(self, name: str):
        return getattr(self._backend, name)

    def remove(self, path) -> None:
        self.removals.append((self._backend.remove, path))

    def rmtree(self, path) -> None:
        self.removals.append((self._backend.rmtree, path))
