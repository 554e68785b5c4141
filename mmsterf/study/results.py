"""Files of result lines, which several processes add to."""

import fcntl
import json
import os
from contextlib import contextmanager
from pathlib import Path

from mmsterf.errors import InvalidInput


def read_results(file: Path) -> list:
    """Result lines of a file; none if it is not there.

    Raises:
        InvalidInput: If a line is none, but the last, which a killed run may have left unfinished.
    """
    if not file.is_file():
        return []
    results, lines = [], file.read_text().split('\n')
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            result = json.loads(line)
            result['run'], result['key']
        except (ValueError, KeyError, TypeError):
            if number == len(lines):
                continue
            raise InvalidInput(f'{file}, line {number}: not a result line of run.py') from None
        results.append(result)
    return results


@contextmanager
def locked(file: Path, wait: bool = True):
    """Context that holds the lock of a file among all processes of this machine; gives whether it got it.

    The lock goes with the process that holds it, however that ends.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.with_name(f'.{file.name}.lock').open('w') as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True


def append_results(file: Path, results: list) -> None:
    """Add result lines to a file, which is replaced whole: a killed process leaves the former one."""
    with locked(file):
        part = file.with_name(f'.{os.getpid()}.{file.name}')
        part.write_text(''.join(json.dumps(result) + '\n' for result in [*read_results(file), *results]))
        os.replace(part, file)
