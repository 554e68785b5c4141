"""A hook for configs of the tests: the process kills itself, as a crash or a scheduler would."""

import os
import resource
import signal

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class KillingHook(Hook):
    """Kill the process before a training iteration, or while a checkpoint is written.

    Args:
        at_iter (int): Number of the iteration.
        at_save (int): Kill within the n-th saving, before the file is complete; overrules `at_iter`.
        at_val (int): Kill within the n-th validation.
    """

    def __init__(self, at_iter: int = -1, at_save: int = 0, at_val: int = 0) -> None:
        self.at_iter, self.at_save, self.at_val = at_iter, at_save, at_val
        self.validations = 0
        self.saved = 0

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        if runner.iter == self.at_iter:
            os.kill(os.getpid(), signal.SIGKILL)

    def before_val_iter(self, runner, batch_idx, data_batch=None) -> None:
        if batch_idx == 1:
            self.validations += 1
            if self.validations == self.at_val:
                os.kill(os.getpid(), signal.SIGKILL)

    def before_save_checkpoint(self, runner, checkpoint) -> None:
        self.saved += 1
        if self.saved == self.at_save:
            # The system ends the process when a file grows beyond this, in the middle of the checkpoint.
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
