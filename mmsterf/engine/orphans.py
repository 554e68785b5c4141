"""No process of a run outlives it, not even when it is killed by SIGKILL. Linux only; elsewhere nothing changes."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_children_too = False


def end_with_parent() -> None:
    """Let the data loaders' processes that this one forks end with it, and this one with torchrun if that started it.

    The kernel sends the signal, so nothing has to be alive to do so.
    """
    global _children_too
    if not sys.platform.startswith('linux'):
        return
    if 'TORCHELASTIC_RUN_ID' in os.environ:
        _die_with_parent(os.getppid())
    if not _children_too:
        parent = {}
        os.register_at_fork(
            before=lambda: parent.update(pid=os.getpid()), after_in_child=lambda: _die_with_parent(parent['pid'])
        )
        _children_too = True


def _die_with_parent(parent: int) -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # gone before the kernel was told
        os.kill(os.getpid(), signal.SIGKILL)


# Loaded here: a forked child should not have to.
_LIBC = ctypes.CDLL(None) if sys.platform.startswith('linux') else None
