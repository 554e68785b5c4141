"""Where results go: found to be writable before work, other people's files kept, former results not left among new."""

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Optional, Union

from mmsterf.errors import InvalidInput, sentence

INDEX = '.{}.mmsterf_files.json'
"""Beside a folder of results, with its name: the tool that wrote them, and their names. Not inside, where mmseg's tools
take each file for a label map."""


def check_writable(option: str, path: Union[str, Path], folder: bool = True) -> None:
    """Refuse a folder (or a file) that could not be written, leaving nothing behind.

    Raises:
        InvalidInput: Names the option, the path and the reason.
    """
    path = Path(path)
    try:
        if not folder and path.is_dir():
            raise InvalidInput(f'{option} {path}: is a folder, and must be the name of a file')
        there = path.absolute() if folder else path.absolute().parent
        while not there.exists() and not there.is_symlink():
            there = there.parent
        if not there.is_dir():
            raise InvalidInput(f'{option} {path}: cannot be written, {there} is not a folder')
        with tempfile.TemporaryDirectory(prefix='.mmsterf_', dir=there):
            pass
        if not folder and path.exists() and not os.access(path, os.W_OK):
            raise InvalidInput(f'{option} {path}: cannot be written, it is read-only')
        if len(os.fsencode(path.name)) > 255:
            raise InvalidInput(f'{option} {path}: the name is too long')
    except (OSError, ValueError) as error:
        if isinstance(error, InvalidInput):
            raise
        reason = getattr(error, 'strerror', None) or error
        raise InvalidInput(f'{option} {path}: cannot be written ({reason})') from error


def check_new_file(option: str, path: Union[str, Path], force: bool) -> None:
    """Refuse a file that cannot be written or, without `--force`, is there already.

    Raises:
        InvalidInput: Names the option and the path.
    """
    check_writable(option, path, folder=False)
    if Path(path).exists() and not force:
        raise InvalidInput(f'{option} {path}: exists already; choose another name, or overwrite it with --force')


@contextmanager
def leave_nothing(work_dir: str):
    """Remove a work dir that this run made if the user's input ends it before its first checkpoint."""
    path = Path(work_dir)
    new = not path.exists()
    try:
        yield
    except Exception as error:
        if new and sentence(error) and not any(path.rglob('*.pth*')) and int(os.environ.get('RANK', 0)) == 0:
            shutil.rmtree(path, ignore_errors=True)
        raise


@contextmanager
def staged(folder: Union[str, Path]):
    """Yield an empty folder; when the block has ended well, its files are moved to `folder`, else nothing is left."""
    folder = Path(folder).absolute()
    there = folder
    while not there.exists():
        there = there.parent
    with tempfile.TemporaryDirectory(prefix='.mmsterf_', dir=there) as stage:
        yield Path(stage)
        for path in sorted(Path(stage).rglob('*')):
            target = folder / path.relative_to(stage)
            if path.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, target)


class ResultFolder:
    """A folder that a tool writes results to; use it as a context manager around the work.

    Files of a former run of the same tool may be replaced, and those that this run does not write again are removed
    when it has succeeded; other files are kept.

    Args:
        option (str): As in `--out`.
        folder (str | Path): The folder, which may not be there yet.
        tool (str): Name of the tool.
        force (bool): Overwrite files that are not this tool's.
        names (Sequence[str], optional): Names that may be in the way; any file may by default.

    Raises:
        InvalidInput: If it cannot be written, or holds files that are not this tool's.
    """

    def __init__(
        self,
        option: str,
        folder: Union[str, Path],
        tool: str,
        force: bool = False,
        names: Optional[Sequence[str]] = None,
    ) -> None:
        check_writable(option, folder)
        self.folder, self.tool = Path(folder), tool
        place = self.folder.absolute().resolve()
        self.index = place.parent / INDEX.format(place.name)
        self.before = self._files()
        self.former = self._former()
        own = set(self.former)
        others = [name for name in self.before if name not in own and (names is None or name in names)]
        if others and not force:
            what = others[0] + (f' and {len(others) - 1} more' if len(others) > 1 else '')
            raise InvalidInput(
                f'{option} {folder}: holds {what} not written by {tool}; choose another folder, or overwrite with '
                '--force'
            )

    def _former(self) -> list:
        """Files that the tool wrote; not those that were changed since, which are somebody's own."""
        try:
            index = json.loads(self.index.read_text())
            files = index['files'] if index['tool'] == self.tool else {}
            return [name for name, state in files.items() if self.before.get(name, ())[1:] == tuple(state)]
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return []

    def _files(self) -> dict:
        """Files in the folder and up to two levels below, with what changes when they are written."""
        found = {}
        for depth in ('*', '*/*', '*/*/*'):
            for path in self.folder.glob(depth):
                if path.is_file():
                    state = path.stat()
                    found[path.relative_to(self.folder).as_posix()] = (state.st_ino, state.st_mtime_ns, state.st_size)
        return found

    def __enter__(self) -> 'ResultFolder':
        return self

    def __exit__(self, kind, *_) -> None:
        if not self.folder.is_dir():
            return
        after = self._files()
        written = {name for name, state in after.items() if self.before.get(name) != state}
        if kind is None:
            for name in set(self.former) & set(after) - written:
                (self.folder / name).unlink(missing_ok=True)
            files = written
        else:
            files = written | (set(self.former) & set(after))
        if not files:
            return
        text = json.dumps({'tool': self.tool, 'files': {name: after[name][1:] for name in sorted(files)}}, indent=1)
        part = self.index.with_name(f'{self.index.name}.{os.getpid()}')
        try:
            part.write_text(f'{text}\n')
            os.replace(part, self.index)
        except OSError as error:  # the results are whole without it; the next run asks for --force
            part.unlink(missing_ok=True)
            print(f'warning: {self.index} cannot be written ({error.strerror}): files of this run need --force later')
