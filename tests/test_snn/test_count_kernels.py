"""The I-LIF neuron's Triton kernels, in Triton's interpreter, against the functions that CPU tensors take."""

import importlib
import sys

import pytest
import torch

from mmsterf.snn import ILIF, count
from mmsterf.snn.count import _Count

NAME = 'mmsterf.snn.count_kernels'
EDGES = [float('nan'), float('inf'), -float('inf'), -0.5, -1e-7, 0.0, 0.5, 1.5, 2.5, 3.5, 4.0, 4.0001, 1e9]


@pytest.fixture
def kernels(monkeypatch):
    """The kernels, compiled for the interpreter, and taken by tensors of this device."""
    pytest.importorskip('triton')
    monkeypatch.setenv('TRITON_INTERPRET', '1')
    monkeypatch.delitem(sys.modules, NAME, raising=False)
    module = importlib.import_module(NAME)
    yield module
    sys.modules.pop(NAME, None)


def inputs(dtype) -> dict:
    line = torch.cat([torch.tensor(EDGES, dtype=torch.float64), 5 * torch.rand(3000, dtype=torch.float64) - 0.5])
    maps = 6 * torch.rand(2, 3, 5, 7, dtype=torch.float64) - 1
    return {
        'edges': line.to(dtype),
        'none': torch.zeros(0, 3, dtype=dtype),
        'channels last': maps.to(dtype).contiguous(memory_format=torch.channels_last),
        'a view': maps.to(dtype)[:, :, 1:4, ::2],
    }


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize('high, gain', [(4, 0.25), (3, 1 / 3), (1, 1)])
def test_kernels_are_the_functions(kernels, monkeypatch, dtype, high, gain):
    for name, x in inputs(dtype).items():
        grad = torch.randn(x.shape, dtype=torch.float64).to(dtype)
        found = []
        for chosen in (None, kernels):
            monkeypatch.setattr(count, '_kernels_for', lambda _, chosen=chosen: chosen)
            leaf = x.clone(memory_format=torch.preserve_format).requires_grad_()
            y, inside = _Count.apply(leaf, high, gain, True)
            (slope,) = torch.autograd.grad(y, leaf, grad)
            found.append((y.detach(), inside, slope))
        for plain, kernel in zip(*found):
            # Triton's interpreter cuts bfloat16 off where CUDA rounds it.
            cut = 2**-7 if dtype == torch.bfloat16 and gain == 1 / 3 else 0
            torch.testing.assert_close(kernel, plain, rtol=cut, atol=0, equal_nan=True, msg=f'{name}, {dtype}')
        assert found[1][1].dtype == torch.bool and found[1][2].stride() == found[0][2].stride()
        assert kernels.forward(x, high, gain, False)[1] is None


def test_a_neuron_on_its_device_takes_them(kernels, monkeypatch):
    calls = []
    for name in ('forward', 'backward'):
        run = getattr(kernels, name)
        monkeypatch.setattr(kernels, name, lambda *args, name=name, run=run: calls.append(name) or run(*args))
    monkeypatch.setattr(count, '_kernels_for', lambda _: kernels)
    x = torch.linspace(-1, 5, 13, requires_grad=True)
    ILIF()(x).sum().backward()
    assert calls == ['forward', 'backward'] and x.grad.tolist() == [0.0] * 2 + [0.25] * 9 + [0.0] * 2
    monkeypatch.undo()
    assert count._kernels_for(x) is None  # on CPU
