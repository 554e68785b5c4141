"""Exported networks against PyTorch, count by count: an edge is told from a mistake."""

from pathlib import Path

import pytest
import torch
from torch import nn

from mmsterf.deploy import BACKENDS, count_by_count
from mmsterf.deploy.comparing import WithSpikes, follow
from mmsterf.deploy.parts import Network
from mmsterf.deploy.running import Compiled
from mmsterf.errors import InvalidInput
from mmsterf.snn import ILIF, LIF, SpikeConv2d


def chain(time_steps: int = 1, kind: str = 'ILIF') -> Network:
    """A neuron that sees the input itself, and one behind a convolution whose weights are large: it fires, or not."""
    torch.manual_seed(0)
    neuron = {'type': kind, 'time_steps': time_steps, **({'normalize': False} if kind == 'ILIF' else {})}
    model = nn.Sequential(SpikeConv2d(3, 8, 3, padding=1, neuron=neuron), SpikeConv2d(8, 4, 1, neuron=neuron))
    nn.init.normal_(model[0].weight, std=3)
    return Network(model, lambda m, x: m(x), (3, 6, 6)).eval()


def runtime_of(network: Network, x: torch.Tensor, change=None) -> list:
    """What a runtime would give of a network and its spikes, of inputs moved by `change`."""
    with torch.no_grad():
        return list(WithSpikes(network)(x if change is None else x + change))


@pytest.mark.parametrize(('kind', 'steps'), [('ILIF', 1), ('ILIF', 2), ('LIF', 1), ('LIF', 3)])
def test_counts_on_an_edge_explain_a_difference(kind, steps):
    """The first neuron's input lies 1e-6 above an edge, in the runtime 1e-6 below; the second follows."""
    network = chain(steps, kind)
    x = torch.rand(2 * steps, 3, 6, 6)
    edge = {'ILIF': 2.5, 'LIF': 2.0}[kind]  # half of a LIF neuron's input is its potential
    x[:2, 1, 2, 3] = edge + 1e-6
    move = torch.zeros_like(x)
    move[:2, 1, 2, 3] = -2e-6
    with torch.no_grad():
        plain = (network(x)[0] - network(x + move)[0]).abs().max()
    found = follow(network, x, runtime_of(network, x, move))
    assert plain > 0.01 and (found.edges, found.wrong) == (2, 0) and found.difference < 1e-6
    assert found.counts == x.numel() + 2 * steps * 8 * 36
    assert found.explains(1e-4) and str(found).startswith(f'2 of {found.counts} counts lie on an edge')


@pytest.mark.parametrize('steps', [1, 2])
def test_other_counts_are_wrong(steps):
    network = chain(steps)
    x = torch.rand(2 * steps, 3, 6, 6)
    x[:2, 1, 2, 3] = 2.7
    move = torch.zeros_like(x)
    move[:2, 1, 2, 3] = -1.0
    found = follow(network, x, runtime_of(network, x, move))
    assert (found.edges, found.wrong) == (0, 2) and not found.explains(1e-4) and '2 differ otherwise' in str(found)


def test_what_comes_behind_the_last_neuron_is_compared():
    network = chain()
    x = 2 * torch.rand(2, 3, 6, 6)
    found = runtime_of(network, x)
    found[-1] = found[-1] * 1.01
    found = follow(network, x, found)
    assert (found.edges, found.wrong) == (0, 0) and found.difference == pytest.approx(0.01, rel=1e-3)
    assert not found.explains(1e-4)


@pytest.mark.parametrize('backend', BACKENDS)
def test_spikes_are_exported(backend, needs):
    needs(backend)
    network = chain(2)
    inputs = [2 * torch.rand(2 * n, 3, *size) for n, *size in ((2, 6, 6), (3, 8, 5))]
    for x, found in zip(inputs, count_by_count(network, inputs, backend, 'size')):
        assert found.counts == x.numel() * 11 // 3 and not found.wrong and found.difference < 1e-6


@pytest.mark.parametrize('steps', [1, 2])
def test_spikes_may_be_outputs_themselves(steps):
    """OpenVINO's converter takes no output twice: neither spikes and outputs in one, nor an output that comes again."""
    pytest.importorskip('openvino')
    network = chain(steps)
    network.function = lambda m, x: 2 * (m[0](x), m[0].neuron(x))
    inputs = [2 * torch.rand(2 * n, 3, *size) for n, *size in ((2, 6, 6), (3, 8, 5))]
    for x, found in zip(inputs, count_by_count(network, inputs, 'openvino', 'size')):
        assert found.counts == 2 * x.numel() and not found.wrong and found.difference < 1e-6


@pytest.mark.parametrize('backend', BACKENDS)
def test_a_shared_neuron_is_heard_once_a_call(backend, needs):
    needs(backend)
    network = chain()
    network.model[1].neuron = network.model[0].neuron
    x = 2 * torch.rand(2, 3, 6, 6)
    (found,) = count_by_count(network, [x], backend)
    assert found.counts == x.numel() * 11 // 3 and not found.wrong and found.difference < 1e-6


@pytest.mark.parametrize('near', [True, False])
def test_compiled_takes_edges_and_nothing_else(near, monkeypatch):
    """A runtime that takes 2.5 - 1e-6 for 2.5 + 1e-6 is right; one that takes it for 4 is not."""
    model = chain().model
    x = torch.full((2, 3, 6, 6), 2.5 - 1e-6)
    move = 2e-6 if near else 1.5

    def load(source, backend, **_):
        program = torch.export.load(source) if isinstance(source, Path) else source
        return lambda value: [y.detach().numpy() for y in program.module()(torch.from_numpy(value) + move)]

    monkeypatch.setattr('mmsterf.deploy.runtimes.runtime', load)
    if near:
        assert Compiled(model, 'torch', x).difference > 0.01
        return
    with pytest.raises(InvalidInput, match='0 of 792 counts lie on an edge, where rounding decides, 216 differ'):
        Compiled(model, 'torch', x)


def test_neurons_fire_in_both_kinds():
    """The tests above compare something: neither neuron is silent."""
    for kind in (ILIF, LIF):
        spikes = runtime_of(chain(2, kind.__name__), 2 * torch.rand(4, 3, 6, 6))[:2]
        assert all(part.any() for part in spikes)
