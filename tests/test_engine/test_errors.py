"""One place turns errors that are the user's into one line; bugs keep their traceback."""

import errno
import os
import pickle
import subprocess
import sys

import pytest
from torch.utils.data import DataLoader, Dataset

from mmsterf.engine.config import load_config
from mmsterf.engine.dataset_parts import dataset_leaves
from mmsterf.errors import InvalidInput, command_line, keep, message, sentence


def _caught(function, *args):
    with pytest.raises(Exception) as found:
        function(*args)
    return found.value


def _raise(error):
    raise error


class Broken(Dataset):
    """Items that raise."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int):
        if self.error is None:
            return {}[index]
        raise self.error


@pytest.mark.parametrize(
    ('error', 'text'),
    [
        (InvalidInput('the sentence'), 'the sentence'),
        (OSError(errno.ENOSPC, 'No space left on device', 'a.pth'), 'a.pth: No space left on device (free some)'),
        (NotADirectoryError(errno.ENOTDIR, 'Not a directory', 'a/b'), 'a/b: Not a directory'),
        (ModuleNotFoundError("No module named 'h5py'", name='h5py'), 'the package h5py is needed here'),
        (MemoryError(), 'out of memory'),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), 'out of memory'),
        (RuntimeError('DataLoader worker (pid 9) is killed by signal: Killed.'), 'a process of the data loader was'),
        (RuntimeError('... EADDRINUSE ...'), 'is in use by another run'),
    ],
)
def test_the_users_errors_have_a_sentence(error, text):
    assert sentence(_caught(_raise, error)).startswith(text) or text in sentence(error)


@pytest.mark.parametrize(
    'error', [ValueError('x'), KeyError('x'), AttributeError('x'), ModuleNotFoundError(name='mmsterf.x')]
)
def test_others_have_none(error):
    assert sentence(_caught(_raise, error)) is None


def test_an_error_raised_by_a_check_of_ours_has_one_and_a_slip_of_ours_has_none(tmp_path):
    assert 'is not a file' in sentence(_caught(load_config, str(tmp_path / 'nothing.py')))
    assert sentence(_caught(dataset_leaves(None).__next__)) is None


def test_the_cause_counts():
    def chained():
        try:
            raise InvalidInput('below')
        except InvalidInput as error:
            raise RuntimeError('above') from error

    assert sentence(_caught(chained)) == 'below'


def test_the_sentence_survives_pickles_and_processes():
    assert str(pickle.loads(pickle.dumps(InvalidInput('a: b')))) == 'a: b'
    error = _caught(list, DataLoader(Broken(InvalidInput('file x.png: no image\nError: in it')), num_workers=1))
    assert sentence(error) == 'file x.png: no image\nError: in it'
    error = _caught(list, DataLoader(Broken(None), num_workers=1))
    assert sentence(error) is None
    assert message(error) == '0'


def test_exit_status_and_line(monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit, match='error: what is wrong') as ended, command_line():
        raise InvalidInput('what is wrong')
    assert ended.value.__cause__ is None
    with pytest.raises(KeyError), command_line():
        raise KeyError('a bug stays a bug')
    # Of several processes one speaks.
    monkeypatch.setenv('MMSTERF_SPOKEN', str(tmp_path / 'spoken'))
    for status in ('error: twice', 1):
        with pytest.raises(SystemExit) as ended, command_line():
            raise InvalidInput('twice')
        assert ended.value.code == status
    monkeypatch.delenv('MMSTERF_SPOKEN')
    monkeypatch.setattr('signal.signal', lambda *_: None)
    with pytest.raises(SystemExit) as ended, command_line('nothing'), keep(lambda: 'epoch_3.pth'):
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert capsys.readouterr().err == '\ninterrupted: epoch_3.pth\n'


def _run(body: str, **env) -> subprocess.CompletedProcess:
    code = f'from mmsterf.errors import *\nwith command_line():\n    {body}'
    return subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env={**os.environ, **env})


def test_a_bug_ends_with_whose_it_is():
    done = _run('{}[1]')
    lines = done.stderr.splitlines()
    assert done.returncode == 1 and lines[0].startswith('Traceback') and 'KeyError: a bug of mmsterf' in lines[-1]
    assert _run('raise InvalidInput("x")').stderr == 'error: x\n'
    shown = _run('raise InvalidInput("x")', MMSTERF_TRACEBACK='1').stderr
    assert shown.startswith('Traceback') and shown.endswith('error: x\n')
