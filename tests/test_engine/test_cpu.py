import pytest
import torch
from mmengine.config import Config

from mmsterf.engine import device


@pytest.fixture
def cpu(monkeypatch):
    """A machine without an accelerator; returns the process groups that were asked for."""
    groups = []
    monkeypatch.setattr(device, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(torch.distributed, 'init_process_group', groups.append)
    return groups


def _config() -> Config:
    norm = {'type': 'SyncBN', 'requires_grad': True}
    heads = [{'norm_cfg': norm}, {'norm_cfg': {'type': 'GN'}}]
    return Config({'model': {'backbone': {'norm_cfg': norm}, 'heads': heads}, 'find_unused_parameters': True})


def test_sync_bn_becomes_bn_with_one_line(cpu, capsys):
    cfg = _config()
    device.adapt_to_device(cfg, 'none')
    assert cfg.model.backbone.norm_cfg == {'type': 'BN', 'requires_grad': True}
    assert [head.norm_cfg.type for head in cfg.model.heads] == ['BN', 'GN']
    assert capsys.readouterr().out == 'SyncBN has no CPU kernel: BN instead in 2 place(s) of the config\n'
    assert cpu == [] and 'model_wrapper_cfg' not in cfg
    device.adapt_to_device(cfg, 'none')
    assert capsys.readouterr().out == ''


def test_processes_join_by_gloo_without_devices(cpu):
    cfg = _config()
    device.adapt_to_device(cfg, 'pytorch')
    assert cpu == ['gloo']
    assert cfg.model_wrapper_cfg == {
        'type': 'MMDistributedDataParallel',
        'broadcast_buffers': False,
        'find_unused_parameters': True,
        'device_ids': None,
    }


def test_launchers_of_gpus_are_refused(cpu):
    with pytest.raises(ValueError, match=r"launcher 'mpi' needs CUDA.*torchrun"):
        device.adapt_to_device(_config(), 'mpi')


def test_an_accelerator_leaves_the_config_alone(cpu, monkeypatch):
    monkeypatch.setattr(device, 'get_device', lambda: 'cuda')
    cfg = _config()
    device.adapt_to_device(cfg, 'pytorch')
    assert cfg.to_dict() == _config().to_dict() and cpu == []
    cfg.optim_wrapper = {'type': 'OptimWrapper'}
    device.enable_amp(cfg)
    assert cfg.optim_wrapper == {'type': 'AmpOptimWrapper', 'loss_scale': 'dynamic'}
