"""Memory: what a pass saves, how many inputs fit, and what is said where one does not."""

import gc
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from mmsterf.erf import Noise, memory, st_erf
from mmsterf.erf.memory import GIB, Meter, batch_within, free_memory

BATCHES = []


class Network(nn.Sequential):
    """Saves (3 + 2 x 8) float32 maps of the size of the image: the input and the outputs of both activations."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 8, 3, padding=1), nn.Tanh())
        self.register_forward_pre_hook(lambda module, args: BATCHES.append(len(args[0])))


MAPS, LARGEST = 3 + 2 * 8, 8
NEED = (MAPS + memory.TEMPORARY * LARGEST) * 4 * 32 * 32 / GIB


def test_a_pass_is_measured_to_the_byte():
    model = Network().requires_grad_(False)
    with Meter(model, None) as meter:
        y = model(torch.rand(2, 3, 32, 32, requires_grad=True))
    assert meter.held == 2 * MAPS * 4 * 32 * 32
    assert meter.need == 2 * NEED * GIB
    y.sum().backward()


def test_what_is_modified_in_place_is_still_found():
    class Wrong(nn.Module):
        def forward(self, x):
            y = (2 * x).exp()
            z = y.sin()
            y.mul_(2)
            return z

    with pytest.raises(RuntimeError, match='modified by an inplace operation'):
        st_erf(Wrong(), Noise(1, (3, 16, 16)), '.')


@pytest.mark.parametrize(('inputs', 'batches'), [(1.5, [1, 1, 1, 1, 1, 1, 1]), (2.5, [1, 2, 2, 2]), (99, [1, 4, 2])])
def test_batches_stay_within_the_memory_and_maps_are_the_same(inputs, batches, monkeypatch):
    torch.manual_seed(0)
    model, data = Network(), Noise(7, (3, 32, 32))
    expected = st_erf(model, data, ['1', '3'], batch_size=1)
    for how in ('asked', 'free'):
        BATCHES.clear()
        if how == 'free':
            monkeypatch.setattr(memory, 'free_memory', lambda device: int(2 * inputs * NEED * GIB))
        found = st_erf(model, data, ['1', '3'], memory=inputs * NEED if how == 'asked' else None)
        assert batches == BATCHES
        for name, result in found.items():
            np.testing.assert_allclose(result.mean, expected[name].mean, rtol=1e-5, atol=1e-9)


def test_what_does_not_fit_is_refused_with_a_size_that_does(monkeypatch):
    model = Network()
    data = Noise(2, (3, 128, 256))
    with pytest.raises(ValueError, match=r'^one input of 128 x 256 takes more than the memory asked for, 0.0') as error:
        st_erf(model, data, '3', memory=20 * NEED)
    assert '96 x 192 fits, or ask for more' in str(error.value)  # 18 of the 32 times 32 x 32
    st_erf(model, Noise(1, (3, 96, 192)), '3', memory=20 * NEED)
    with pytest.raises(ValueError, match='no smaller size was found to fit'):
        st_erf(model, Noise(1, (3, 32, 32)), '3', memory=0.9 * NEED)
    monkeypatch.setattr(memory, 'free_memory', lambda device: int(20 * NEED * GIB))
    with pytest.raises(ValueError, match=r'takes more memory than is free, .* GiB: 96 x 192 fits \(--memory takes'):
        st_erf(model, data, '3')


@pytest.mark.parametrize('value', [0, -1, float('nan'), float('inf'), True, '4'])
def test_memory_has_to_be_a_positive_number(value):
    with pytest.raises(ValueError, match='memory must be a positive number of GiB'):
        st_erf(Network(), Noise(1, (3, 16, 16)), '3', memory=value)


def test_graphs_are_freed_before_the_next_pass():
    """In-place activations, as in stock ResNets: what the graph of one input holds must not outlive it."""
    alive = []

    class Counted(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.token = Token()
            return 2 * x

        @staticmethod
        def backward(ctx, grad):
            return 2 * grad

    class Token:
        def __init__(self):
            alive.append(1)

        def __del__(self):
            alive.pop()

    class Stage(nn.Module):
        def forward(self, x):
            counts.append(len(alive))
            return Counted.apply(x)

    counts = []
    model = nn.Sequential(nn.Conv2d(3, 4, 3), Stage(), nn.ReLU(True), nn.Conv2d(4, 4, 3), nn.ReLU(True))
    gc.disable()
    try:
        for _ in range(2):
            st_erf(model, Noise(3, (3, 16, 16)), ['1', '4'], batch_size=1)
    finally:
        gc.enable()
    assert counts == [0] * 6 and not alive


def test_limits_of_the_process_count():
    """In a process of its own: a limit cannot be raised again."""
    code = (
        'import resource, torch\nfrom mmsterf.erf.memory import free_memory\n'
        'taken = [int(line.split()[1]) * 1024 for line in open("/proc/self/status") if line.startswith("VmData")][0]\n'
        'resource.setrlimit(resource.RLIMIT_DATA, (taken + 2**28,) * 2)\n'
        'print(2**27 < free_memory(torch.device("cpu")) <= 2**28)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout == 'True\n', done.stderr


def test_free_memory_and_batches():
    assert 2**20 < free_memory(torch.device('cpu')) < 2**50
    assert free_memory(torch.device('meta')) is None
    assert [batch_within(limit, 10, 4) for limit in (None, 5, 29, 30, 1000)] == [4, 1, 2, 3, 4]
