"""Errors that are the user's, and the one place where command lines turn them into a line; imports no mm* package.

What counts as the user's: `InvalidInput` (also out of the process of a data loader), every other error that mmsterf's
code raises by a `raise` statement (a check that knows what it says), and errors of files, memory, network and absent
packages. Anything else is a bug: its traceback stays, and a last line says whose it is.
"""

import dis
import errno
import os
import re
import signal
import sys
import traceback
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Optional

PACKAGE = Path(__file__).resolve().parent
TRACEBACK = 'MMSTERF_TRACEBACK'
"""Environment variable: 1 shows the traceback above an `error:` line."""
SPOKEN = 'MMSTERF_SPOKEN'
"""Environment variable of a run of several processes: the file that the first one to end with a line makes."""

_LIBRARIES = (f'{os.sep}site-packages{os.sep}', f'{os.sep}dist-packages{os.sep}', os.path.dirname(os.__file__))
_RAISE = dis.opmap['RAISE_VARARGS']
_MEMORY = re.compile(r"can't allocate memory|out of memory|bad allocation|std::bad_alloc", re.I)
_PORT = re.compile(r'EADDRINUSE|[Aa]ddress already in use')
_KILLED = re.compile(r'DataLoader worker .*(exited unexpectedly|is killed by signal)')
_IN_WORKER = re.compile(r'^ +File "(.+)", line \d+, in .*\n +(.*)$', re.M)

EXPLAINERS: list = []
"""Functions that know errors of libraries: they take one, and return a sentence if it is the user's, or None."""


class InvalidInput(ValueError):
    """Something a user gave is wrong; the message is a whole sentence that says what, and what is valid."""


@contextmanager
def command_line(kept: str = 'nothing was written'):
    """Run a command line, also as a decorator of its `main`: what the user caused ends in one line, and status 1.

    Ctrl-C ends in one line and status 130, and errors that are ours keep their traceback.

    Args:
        kept (str): What Ctrl-C leaves; a `keep` below it knows better.
    """
    try:
        yield
    except KeyboardInterrupt as interruption:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        if _first_to_speak():
            print(f'\ninterrupted: {getattr(interruption, "kept", kept)}', file=sys.stderr, flush=True)
        sys.exit(130)
    except BrokenPipeError:  # `| head` has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(141)
    except Exception as error:
        text = sentence(error)
        if text is None:
            sys.excepthook = _report_bug
            raise
        if os.environ.get(TRACEBACK, '0') not in ('', '0'):
            traceback.print_exc()
        sys.stdout.flush()
        sys.exit(f'error: {" ".join(text.split())}' if _first_to_speak() else 1)


@contextmanager
def keep(what):
    """Say what Ctrl-C leaves of the work inside; `what` may be a function that is asked then."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        if not hasattr(interruption, 'kept'):
            interruption.kept = what() if callable(what) else what
        raise


def sentence(error: BaseException) -> Optional[str]:
    """What to tell the user about an error; None if it is not the user's."""
    seen = error
    while seen is not None:
        if isinstance(seen, InvalidInput):
            return message(seen)
        seen = seen.__cause__
    if isinstance(error, ModuleNotFoundError) and (error.name or '').partition('.')[0] != 'mmsterf':
        return f'the package {error.name} is needed here and not installed' if error.name else message(error)
    if isinstance(error, OSError) and error.errno is not None:
        names = ' -> '.join(str(name) for name in (error.filename, error.filename2) if name is not None)
        room = ' (free some)' if error.errno in (errno.ENOSPC, errno.EDQUOT) else ''
        return f'{names or "a file"}: {error.strerror or os.strerror(error.errno)}{room}'
    text = str(error)
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and _MEMORY.search(text)):
        return f'out of memory: a smaller batch, size or number of workers needs less ({shortened(text) or "no more"})'
    if isinstance(error, RuntimeError) and _KILLED.search(text):
        return f'a process of the data loader was killed, for want of memory most likely: {shortened(text)}'
    if isinstance(error, RuntimeError) and _PORT.search(text):
        return f'port {os.environ.get("MASTER_PORT", "")} is in use by another run: set PORT to a free one'
    if raised_by(error)[1] and is_ours(raised_by(error)[0]) and not isinstance(error, AssertionError):
        return message(error)
    return next((text for explain in EXPLAINERS if (text := explain(error))), None)


def message(error: BaseException) -> str:
    """Text of an error, never empty: without KeyError's quotes, and the traceback of a data loader's process."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if frames := list(_IN_WORKER.finditer(text)):
        text = re.split(r'^[\w.]+(?:: |$)', text[frames[-1].end() :], maxsplit=1, flags=re.M)[-1]
    return text.strip() or type(error).__name__


def shortened(text: str, most: int = 400) -> str:
    """Text in one line of at most `most` characters."""
    text = ' '.join(text.split())
    return text if len(text) <= most else f'{text[:most]} ...'


def frames_of(trace: Optional[TracebackType]) -> list:
    """Tracebacks of an error, outermost call first."""
    found = []
    while trace is not None:
        found.append(trace)
        trace = trace.tb_next
    return found


def raised_by(error: BaseException) -> tuple[str, bool]:
    """File of the innermost frame of an error, and whether a `raise` or `assert` statement there made it."""
    if inner := _IN_WORKER.findall(str(error)):  # a data loader's process hands over the text of its traceback
        file, statement = inner[-1]
        return file, statement.startswith(('raise ', 'assert '))
    frames = frames_of(error.__traceback__)
    if not frames:
        return '', False
    code = frames[-1].tb_frame.f_code
    return code.co_filename, code.co_code[frames[-1].tb_lasti] == _RAISE


def is_ours(file: str) -> bool:
    """Whether a source file belongs to mmsterf."""
    path = Path(file)
    return path.is_absolute() and (path.is_relative_to(PACKAGE) or path.is_relative_to(PACKAGE.parent / 'tools'))


def is_library(file: str) -> bool:
    """Whether a source file belongs to an installed package or to Python."""
    return not os.path.isabs(file) or any(part in file for part in _LIBRARIES)


def _first_to_speak() -> bool:
    """Whether no other process of this run has ended with a line."""
    mark = os.environ.get(SPOKEN)
    try:
        if mark:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
    except OSError:
        return False
    return True


def _report_bug(kind: type, error: BaseException, trace: TracebackType) -> None:
    """`sys.excepthook` that adds whose bug it is."""
    sys.__excepthook__(kind, error, trace)
    files = [frame.tb_frame.f_code.co_filename for frame in frames_of(error.__traceback__)]
    own = [file for file in files if not is_library(file)]
    if own and not is_ours(own[-1]):
        foreign = own
        whose = f'raised in {foreign[-1]}, which does not belong to mmsterf'
    else:
        whose = 'a bug of mmsterf, not of your input: please report the command and the lines above'
    print(f'{kind.__name__}: {whose}', file=sys.stderr, flush=True)
