"""Shared by all tests: golden data, what is logged, files behind an address, and seeds."""

import http.server
import importlib.util
import io
import json
import logging
import os
import threading
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / 'tests' / 'data' / 'golden'

_spec = importlib.util.spec_from_file_location('golden_weights', GOLDEN / 'weights.py')
_weights = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_weights)


class Golden:
    """Outputs of the public implementation, with the weights and the inputs that they belong to."""

    def __init__(self, name: str) -> None:
        self.meta = json.loads((GOLDEN / f'{name}.json').read_text())
        self.arrays = np.load(GOLDEN / f'{name}.npz')

    def weights(self) -> dict:
        """Published names to float64 tensors."""
        names = self.meta['state_dict'].items()
        return {name: torch.as_tensor(_weights.tensor(name, tuple(shape))) for name, shape in names}

    @staticmethod
    def image(seed: int, shape) -> torch.Tensor:
        """A float64 standard-normal input."""
        return torch.as_tensor(_weights.image(seed, tuple(shape)))

    def input(self) -> torch.Tensor:
        """The input that the metadata name."""
        return self.image(self.meta['input_seed'], self.meta['input_shape'])

    def error(self, name: str, value: torch.Tensor) -> float:
        """Largest absolute difference of `value` from the array `name`."""
        expected = self.arrays[name]
        value = value.detach().numpy()
        assert value.size == expected.size, (name, value.shape, expected.shape)
        return float(np.abs(value.reshape(expected.shape) - expected).max())


def pytest_addoption(parser) -> None:
    """``pytest --device cuda``: where the tests that take the fixture `device` compute."""
    parser.addoption('--device', default='cpu', help='cpu or cuda, for the tests of devices')


def pytest_configure(config) -> None:
    name = config.getoption('--device')
    if name not in ('cpu', 'cuda'):
        raise pytest.UsageError(f'--device must be cpu or cuda, got {name!r}')
    if name == 'cuda' and not torch.cuda.is_available():
        raise pytest.UsageError('--device cuda: there is no CUDA device here')


@pytest.fixture
def device(request) -> str:
    """The device of ``make test DEVICE=...``."""
    return request.config.getoption('--device')


@pytest.fixture
def needs():
    """Skip a test where a package of a backend is absent: ``needs('openvino+nnpack')``."""
    from mmsterf.deploy.runtimes import PACKAGES

    def check(backend: str) -> None:
        for package in PACKAGES[backend]:
            pytest.importorskip(package)

    return check


@pytest.fixture
def golden():
    """Load golden data by name: ``golden('backbone_srb_r4')``."""
    return Golden


@pytest.fixture
def logged():
    """What mmengine's current logger says meanwhile, as a stream; loggers of other tests write where those looked."""
    from mmengine.logging import MMLogger

    name = 'what a test logs'
    stream = io.StringIO()
    MMLogger.get_instance(name).addHandler(logging.StreamHandler(stream))
    yield stream
    MMLogger._instance_dict.pop(name, None)


class _Server(http.server.SimpleHTTPRequestHandler):
    """Files of a folder, and what was asked for."""

    timeout = 10
    asked: list

    def do_GET(self) -> None:
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *args) -> None:
        pass


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder, the address on loopback that it is served at, and the requests; files are kept in `tmp_path`/hub."""
    monkeypatch.setenv('TORCH_HOME', str(tmp_path))
    monkeypatch.setattr(_Server, 'asked', [], raising=False)
    folder = tmp_path / 'served'
    folder.mkdir()
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), partial(_Server, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield SimpleNamespace(
            folder=folder, url=f'http://127.0.0.1:{server.server_address[1]}', asked=_Server.asked, stop=server.shutdown
        )
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _environment():
    """Tools that run in this process set variables for it; the tests behind them begin without."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
