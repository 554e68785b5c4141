"""Checkpoint files: damaged, hostile, and full of what training scripts leave behind."""

import argparse
import io
import os
import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

import mmsterf.checkpoint.loading  # noqa: F401  (teaches the loader of mmengine)
from mmsterf.checkpoint import read, state_dict_of, write
from mmsterf.checkpoint.io import data_set_meta
from mmsterf.engine.checkpoints import read_checkpoint
from mmsterf.errors import InvalidInput

FORMATS = [True, False]


class Hostile:
    """Calls a function when it is unpickled."""

    def __init__(self, function, *args) -> None:
        self.call = function, args

    def __reduce__(self) -> tuple:
        return self.call


def save(content, path, zipped: bool = True) -> str:
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return str(path)


@pytest.mark.parametrize('zipped', FORMATS)
@pytest.mark.parametrize('function', [os.system, exec, eval, open, os.mkdir, io.open_code])
def test_code_is_never_run(tmp_path, function, zipped):
    victim = tmp_path / 'victim'
    args = {
        os.system: (f'touch {victim}',),
        exec: (f'open({str(victim)!r}, "w")',),
        eval: (f'open({str(victim)!r}, "w")',),
        open: (str(victim), 'w'),
        os.mkdir: (str(victim),),
        io.open_code: (__file__,),
    }[function]
    path = save({'model': {'a': torch.ones(1)}, 'extra': Hostile(function, *args)}, tmp_path / 'x.pth', zipped)
    with pytest.raises(ValueError, match='code in a checkpoint is never run') as error:
        read(path)
    assert 'If you trust it' in str(error.value) and 'x.pth' in str(error.value)
    assert not victim.exists()
    if function in (open, os.mkdir):  # the file is a real attack: ordinary unpickling falls for it
        torch.load(path, weights_only=False)
        assert victim.exists()


def test_getattr_looks_nothing_up(tmp_path):
    lookup = Hostile(getattr, HistoryBuffer, '__init__')
    assert type(read(save({'x': lookup}, tmp_path / 'x.pth'))['x']).__name__ == '_Inert'
    call = pickle.dumps(Hostile(Hostile, 1), protocol=2)  # any other class of this process
    (tmp_path / 'y.pth').write_bytes(call)
    with pytest.raises(ValueError, match='never run'):
        read(str(tmp_path / 'y.pth'))


@pytest.mark.parametrize('zipped', FORMATS)
def test_what_training_scripts_leave(tmp_path, zipped):
    weights = OrderedDict(a=torch.ones(2, dtype=torch.float16))
    checkpoint = {
        'model': weights,
        'args': argparse.Namespace(lr=1e-3, opt='lamb'),
        'meta': {'seed': np.int64(3), 'dataset_meta': {'classes': ('cat', 'dog'), 'palette': [(1, 2, 3)]}},
        'message_hub': {'log_scalars': OrderedDict(loss=HistoryBuffer([1.0, 2.0], [1, 1]))},
        'scores': [np.float32(2), np.bool_(True), np.arange(3), np.array(['a'])],
    }
    allowed = torch.serialization.get_safe_globals()
    found = read(save(checkpoint, tmp_path / 'x.pth', zipped))
    assert set(torch.serialization.get_safe_globals()) == set(allowed)
    assert '_Inert' not in str(allowed)
    assert torch.equal(state_dict_of(found)['a'], weights['a'])
    assert data_set_meta(found) == {'dataset_meta': checkpoint['meta']['dataset_meta']}
    checkpoint['meta']['dataset_meta']['palette'] = np.zeros((1, 3))
    assert data_set_meta(read(save(checkpoint, tmp_path / 'y.pth', zipped))) == {}


def leave_trace(path: str) -> None:
    """What another part of the process may allow checkpoints to call."""
    Path(path).touch()


def test_what_the_process_allows_does_not_count(tmp_path):
    path = save({'x': Hostile(leave_trace, str(tmp_path / 'trace'))}, tmp_path / 'x.pth')
    with torch.serialization.safe_globals([leave_trace]):
        with pytest.raises(ValueError, match='never run'):
            read(path)
        assert not (tmp_path / 'trace').exists()
        torch.load(path, weights_only=True)  # allowed again
        assert (tmp_path / 'trace').exists()


@pytest.mark.parametrize('zipped', FORMATS)
@pytest.mark.parametrize('kept', [0, 1, 20, 0.5, 0.9, 0.999])
def test_truncated(tmp_path, zipped, kept):
    path = tmp_path / 'x.pth'
    save({'model': {'a': torch.randn(1000)}}, path, zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(
        ValueError, match=r'x\.pth (cannot be read as a checkpoint|is damaged|is empty|is no checkpoint)'
    ) as error:
        read(str(path))
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('content', [b'not a checkpoint', bytes(range(256)) * 9, pickle.dumps([1]), b'\x80\x02N.'])
def test_no_checkpoint(tmp_path, content):
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'x\.pth'):
        read(str(path))


def test_contents_without_weights(tmp_path):
    with pytest.raises(ValueError, match='a dict was expected, found Tensor'):
        read(save(torch.ones(1), tmp_path / 'x.pth'))
    for content in ({}, {'epoch': 3, 'lr': 0.1}, {'state_dict': {}}, {'model': {'a': 1}}):
        with pytest.raises(ValueError, match='no weights in this checkpoint'):
            state_dict_of(read(save(content, tmp_path / 'x.pth')))
    with pytest.raises(FileNotFoundError, match=r'nowhere\.pth is not a file'):
        read(str(tmp_path / 'nowhere.pth'))


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    path = tmp_path / 'x.pth'
    write({'a': torch.ones(1)}, path)
    with pytest.raises(FileExistsError, match='--force'):
        write({'a': torch.zeros(1)}, path)
    with pytest.raises(FileNotFoundError, match='no folder'):
        write({}, tmp_path / 'no' / 'x.pth')
    with pytest.raises(FileExistsError):
        write({}, tmp_path, force=True)

    def interrupted(content, file) -> None:
        file.write_bytes(b'half')
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, 'save', interrupted)
        with pytest.raises(KeyboardInterrupt):
            write({}, path, force=True)
    assert [file.name for file in tmp_path.iterdir()] == ['x.pth']
    assert read(str(path)) == {'a': torch.ones(1)}
    write({'a': torch.zeros(1)}, path, force=True)
    assert read(str(path)) == {'a': torch.zeros(1)}


def _zip(name: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        archive.writestr(name, 'x')
    return stream.getvalue()


KINDS = {
    'empty': (b'', 'is empty'),
    'text': (b'lr = 0.1\n', 'but text'),
    'page': (b'<!doctype html><html>Sign in</html>', 'but a web page'),
    'pointer': (b'version https://git-lfs.github.com/spec/v1\n', 'git lfs pull'),
    'safetensors': ((16).to_bytes(8, 'little') + b'{"a":{}}        ', 'but a safetensors file'),
    'hdf5': (b'\x89HDF\r\n\x1a\n' + bytes(100), 'an HDF5 file'),
    'arrays': (_zip('a.npy'), r'NumPy arrays \(.npz\)'),
    'archive': (_zip('a.txt'), 'another zip archive'),
    'cut off': (_zip('a/data.pkl')[:40], 'its end is missing'),
    'garbage': (bytes(range(128, 256)) * 9, 'never run|cannot be read'),
}


@pytest.mark.parametrize('kind', KINDS)
def test_all_readers_say_the_same(tmp_path, kind):
    """The tools' two readers, and mmengine's loader, which init_detector, init_model, load_from and init_cfg use."""
    content, said = KINDS[kind]
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    sentences = set()
    for reader in (read, read_checkpoint, CheckpointLoader.load_checkpoint):
        with pytest.raises(InvalidInput, match=said) as error:
            reader(str(path))
        sentences.add(str(error.value))
        assert 'weights_only' not in str(error.value) and '\n' not in str(error.value)
    assert len(sentences) == 1 or kind == 'garbage'


@pytest.mark.parametrize('reader', [read, read_checkpoint, CheckpointLoader.load_checkpoint])
def test_folders_and_missing_files(tmp_path, reader):
    with pytest.raises(InvalidInput, match='is a folder'):
        reader(str(tmp_path))
    with pytest.raises(FileNotFoundError, match=r'nowhere.pth is not a file'):
        reader(str(tmp_path / 'nowhere.pth'))
