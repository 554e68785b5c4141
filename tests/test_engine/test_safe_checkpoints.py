import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer, MessageHub

from mmsterf.engine.checkpoints import (
    AtomicLocalBackend,
    allow_mmengine_checkpoints,
    plain,
    restore_histories,
)
from mmsterf.engine.resuming import checkpoints_in, find_checkpoint, prepare_resume


@pytest.fixture
def allowed(monkeypatch):
    """Allow mmengine's checkpoints during one test."""
    monkeypatch.setenv('TORCH_FORCE_WEIGHTS_ONLY_LOAD', '0')
    before = torch.serialization.get_safe_globals()
    allow_mmengine_checkpoints()
    yield
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(before)


@pytest.fixture
def stock() -> dict:
    """What stock mmengine saves, as far as torch refuses it."""
    hub = MessageHub('stock')
    for value in (1.0, 4.0):
        hub.update_scalar('train/loss', value)
    hub.update_info('best_score', np.float64(0.25))
    hub.update_info('palette', np.arange(6, dtype=np.uint8).reshape(2, 3))
    return {'message_hub': hub.state_dict(), 'meta': {'seed': np.int64(3), 'epoch': 1}}


def test_stock_checkpoints_load(allowed, stock, tmp_path):
    torch.save(stock, tmp_path / 'stock.pth')
    loaded = torch.load(tmp_path / 'stock.pth', weights_only=True)
    assert loaded['message_hub']['log_scalars']['train/loss'].mean() == 2.5
    assert loaded['message_hub']['runtime_info']['palette'].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert loaded['meta']['seed'] == 3


class _Evil:
    def __init__(self, *reduced) -> None:
        self.reduced = reduced

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize(
    'evil',
    [
        _Evil(getattr, (OrderedDict, 'fromkeys')),
        _Evil(getattr, (HistoryBuffer, 'register_statistics')),
        _Evil(print, ('executed',)),
    ],
)
@pytest.mark.parametrize('weights_only', [True, False])
def test_nothing_else_loads(allowed, tmp_path, capsys, evil, weights_only):
    torch.save({'state_dict': evil}, tmp_path / 'evil.pth')
    # Even code that asks for full unpickling, as loading from URLs does.
    with pytest.raises(pickle.UnpicklingError):
        torch.load(tmp_path / 'evil.pth', weights_only=weights_only)
    assert capsys.readouterr().out == ''


def test_plain_message_hubs_load_anywhere_and_come_back(stock, tmp_path):
    torch.save(plain({**stock, 'message_hub': {**stock['message_hub'], 'runtime_info': {}}}), tmp_path / 'plain.pth')
    hub = torch.load(tmp_path / 'plain.pth', weights_only=True)['message_hub']
    restore_histories(hub)
    restored = MessageHub('restored')
    restored.load_state_dict(hub)
    restored.update_scalar('train/loss', 7.0)
    assert restored.get_scalar('train/loss').data[0].tolist() == [1, 4, 7]
    restore_histories(stock['message_hub'])  # stock histories stay
    assert stock['message_hub']['log_scalars']['train/loss'].mean() == 2.5


def test_file_is_whole_or_absent(tmp_path, monkeypatch):
    backend, target = AtomicLocalBackend(), tmp_path / 'folder/file.pth'
    backend.put(b'first', target)

    def killed(*args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr('os.fsync', killed)
        backend.put(b'second, longer', target)
    assert target.read_bytes() == b'first'
    backend.put(b'third', target)
    assert [path.name for path in target.parent.iterdir()] == ['file.pth'] and target.read_bytes() == b'third'


def test_last_checkpoint_is_found_whatever_the_pointer_says(tmp_path):
    assert find_checkpoint(tmp_path / 'nowhere') is None
    for number, name in enumerate(['epoch_9.pth', 'epoch_10.pth', 'best_x_epoch_9.pth']):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (number, number))
    assert checkpoints_in(tmp_path)[0] == tmp_path / 'epoch_10.pth'
    for pointer, expected in [
        ('', 'epoch_10.pth'),
        ('/moved/from/epoch_9.pth', 'epoch_9.pth'),
        (str(tmp_path / 'epoch_9.pth'), 'epoch_9.pth'),
        ('/gone/epoch_1.pth', 'epoch_10.pth'),
    ]:
        (tmp_path / 'last_checkpoint').write_text(pointer)
        assert checkpoints_in(tmp_path)[0] == tmp_path / expected


def test_resume_takes_the_seed_of_the_checkpoint(allowed, stock, tmp_path):
    path = str(tmp_path / 'epoch_1.pth')
    torch.save({**stock, 'optimizer': {}}, path)
    cfg = Config({'work_dir': str(tmp_path), 'randomness': {'seed': None, 'deterministic': True}})
    prepare_resume(cfg, 'auto', cfg)
    assert (cfg.resume, cfg.load_from) == (True, path)
    assert cfg.randomness == {'seed': 3, 'deterministic': True}


def test_resume_without_training_state_or_checkpoint(allowed, stock, tmp_path, capsys):
    torch.save({'state_dict': {}, 'meta': {}}, tmp_path / 'weights.pth')
    with pytest.raises(ValueError, match=r'weights.pth has no message_hub, optimizer.*load_from='):
        prepare_resume(Config(), str(tmp_path / 'weights.pth'), Config())
    cfg = Config({'work_dir': str(tmp_path / 'new'), 'load_from': 'pretrained.pth'})
    prepare_resume(cfg, 'auto', cfg)
    assert 'starts at the beginning' in capsys.readouterr().out
    assert cfg.load_from == 'pretrained.pth' and not cfg.get('resume')
