"""Runs of a crop: the same maps as of whole inputs; whole inputs where an op is global, seen in the graph or not."""

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from torch import nn

from mmsterf.erf import Noise, core, crops, measure, st_erf
from mmsterf.erf.memory import GIB, TEMPORARY

SIZE = (96, 80)


@pytest.fixture
def boxes(monkeypatch):
    """The parts of the inputs that were run, one of each analysis; None for all."""
    found = []
    original = crops.cropped_plan

    def look(task):
        plan, notes = original(task)
        found.append(plan and plan.box)
        return plan, notes

    monkeypatch.setattr(core, 'cropped_plan', look)
    monkeypatch.setattr(crops, 'LEAST', 0)
    return found


def whole(*args, **kwargs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, 'cropped_plan', lambda task: (None, ()))
        return st_erf(*args, **kwargs)


def check(found, expected):
    """Equal in all, but for rounding errors."""
    assert list(found) == list(expected)
    for name, b in expected.items():
        a = found[name]
        for key in ('layer', 'num', 'centre', 'cell', 'grid', 'time_steps', 'cancels', 'field', 'notes'):
            assert getattr(a, key) == getattr(b, key), key
        peak = b.mean.max()
        assert peak > 0
        np.testing.assert_allclose(a.mean, b.mean, rtol=0, atol=1e-6 * peak)
        np.testing.assert_allclose(a.sem, b.sem, rtol=0, atol=1e-6 * peak)
        assert np.array_equal(a.mean > 0, b.mean > 0)
        if b.samples is not None:
            np.testing.assert_allclose(a.samples, b.samples, rtol=0, atol=1e-6 * b.samples.max())


class Stage(nn.Module):
    """Half the size, and a residual branch that ends in a norm."""

    def __init__(self, before, width):
        super().__init__()
        self.first, self.second = nn.Conv2d(before, width, 3, 2, 1), nn.Conv2d(width, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, x):
        x = self.first(x)
        return F.silu(x + self.norm(self.second(x.relu())))


class Network(nn.Module):
    """Three stages of stride 2 with residual blocks, and a neck that adds them from the top down."""

    def __init__(self, width=6):
        super().__init__()
        torch.manual_seed(1)
        self.stages = nn.ModuleList(Stage(width if i else 3, width) for i in range(3))
        self.neck = nn.ModuleList(nn.Conv2d(width, width, 1) for _ in range(3))
        self.top_down = nn.Identity()
        self.tokens = nn.Identity()

    def forward(self, x):
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        out = self.neck[2](maps[2])
        for conv, y in zip(self.neck[1::-1], maps[1::-1]):
            out = conv(y) + F.interpolate(out, y.shape[2:])
        self.tokens(maps[1].flatten(2).mT * 2)
        return self.top_down(out)


LAYERS = ['stages.0', 'stages.1', 'stages.2', 'neck.0', 'tokens', 'top_down']


@pytest.mark.parametrize(
    ('position', 'expected'),
    [
        ('center', (24, 16, 72, 64)),
        ((0.0, 0.0), (0, 0, 24, 24)),
        ((95, 79), (64, 48, 96, 80)),
        ((50, 3), (24, 0, 72, 24)),
    ],
)
def test_maps_are_those_of_whole_inputs(position, expected, boxes):
    model, data = Network(), Noise(5, (3, *SIZE))
    how = {'position': position, 'batch_size': 2, 'keep_samples': True}
    found = st_erf(model, data, LAYERS, **how)
    assert boxes == [expected]
    check(found, whole(model, data, LAYERS, **how))
    assert [r.field for r in found.values()][:4] == [(7, 7), (19, 19), (43, 43), (7, 7)]


@pytest.mark.parametrize('how', [{'signed': True}, {'step': 'sum'}, {'unit_gains': True}, {'in_front_of_norms': True}])
def test_options(how, boxes):
    model = Network()
    nn.init.zeros_(model.stages[1].norm.weight)
    data = torch.utils.data.DataLoader([(torch.randn(3, *SIZE), 0) for _ in range(3)], batch_size=2)
    found = st_erf(model, data, LAYERS[:3], **how)
    assert boxes[-1] is not None
    check(found, whole(model, data, LAYERS[:3], **how))
    assert bool(found['stages.2'].notes)  # about the gains


@pytest.mark.parametrize('kind', ['sequence', 'folded', 'image'])
@pytest.mark.parametrize('step', ['last', 'all'])
def test_time(kind, step, boxes):
    from mmsterf.snn.neurons import LIF

    torch.manual_seed(2)

    class Spiking(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.neuron, self.second = nn.Conv2d(3, 8, 3, 2, 1), LIF(time_steps=3), nn.Conv2d(8, 4, 3)

        def forward(self, x):
            x = x.flatten(0, 1) if kind == 'sequence' else x
            x = self.first(x)
            return self.second(self.neuron(x.expand(3, *x.shape).flatten(0, 1) if kind == 'image' else x))

    model, data = Spiking(), Noise(2, (3, *SIZE) if kind == 'image' else (3, 3, *SIZE))
    how = {'time_steps': 3, 'input_time': kind, 'step': step}
    found = st_erf(model, data, 'second', **how)
    assert boxes == [(44, 36, 52, 44)]
    check(found, whole(model, data, 'second', **how))


def test_a_layer_that_runs_once_for_each_step(boxes):
    class Steps(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x):
            y = 0
            for t in range(2):
                y = y / 2 + self.conv(x[t]).tanh()
            return y

    data = Noise(2, (2, 3, *SIZE))
    found = st_erf(Steps(), data, 'conv', time_steps=2, step='all')
    assert boxes == [(47, 39, 50, 42)]
    check(found, whole(Steps(), data, 'conv', time_steps=2, step='all'))


OPS = {
    'conv': lambda: nn.Conv2d(4, 4, 3, padding=1),
    'free': lambda: nn.Conv2d(4, 4, 3),
    'strided': lambda: nn.Conv2d(4, 4, 3, 2, 1),
    'patches': lambda: nn.Conv2d(4, 4, 2, 2),
    'dilated': lambda: nn.Conv2d(4, 4, 3, 1, 2, 2),
    'up': lambda: nn.ConvTranspose2d(4, 4, 2, 2),
    'bilinear': lambda: nn.Upsample(scale_factor=2, mode='bilinear'),
    'nearest': lambda: nn.Upsample(scale_factor=2),
    'max': lambda: nn.MaxPool2d(3, 2, 1),
    'average': lambda: nn.AvgPool2d(3, 2, 1, ceil_mode=True),
    'norm': lambda: nn.BatchNorm2d(4),
    'gelu': lambda: nn.GELU(),
    'pad': lambda: nn.ZeroPad2d((1, 0, 2, 1)),
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from(list(OPS)), min_size=2, max_size=6),
    st.tuples(st.integers(48, 80), st.integers(48, 80)),
    st.tuples(st.floats(0, 1), st.floats(0, 1)),
    st.integers(0, 99),
)
def test_any_chain(boxes, names, size, place, seed):
    torch.manual_seed(seed)
    growing = sum(n in ('up', 'bilinear', 'nearest') for n in names)
    if growing > 2 or sum(n in ('strided', 'patches', 'max', 'average') for n in names) > 3:
        return
    model = nn.Sequential(nn.Conv2d(3, 4, 1), *(OPS[n]() for n in names)).double()
    data, layer = Noise(2, (3, *size), seed), str(len(names))
    found = st_erf(model, data, layer, position=place)
    expected = whole(model, data, layer, position=place)
    if expected[layer].mean.any():
        check(found, expected)


class Mixed(nn.Module):
    """Convolutions around something."""

    def __init__(self, between):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.last, self.between = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), between

    def forward(self, x):
        return self.last(self.between(self.first(x)))


def position_embedding(x):
    table = torch.linspace(-1, 1, 100 * x.shape[1]).view(1, x.shape[1], 10, 10).to(x.device)
    return x + F.interpolate(table, x.shape[2:], mode='bilinear')


def by_extent(x):
    return x.tanh() if min(x.shape[2:]) > 60 else x.sigmoid()


@pytest.mark.parametrize(
    'hidden',
    [lambda x: x / x.detach().std(), position_embedding, by_extent],
    ids=['statistics without gradient', 'position embedding', 'other code for small maps'],
)
def test_what_the_graph_does_not_show_is_found_by_the_values(hidden, boxes):
    said = []
    found = st_erf(Mixed(hidden), Noise(3, (3, *SIZE)), ['first', 'last'], notify=said.append)
    assert boxes == [None]
    expected = whole(Mixed(hidden), Noise(3, (3, *SIZE)), ['first', 'last'])
    for name, result in found.items():
        np.testing.assert_array_equal(result.mean, expected[name].mean)
    if hidden is not by_extent:  # that one the graphs differ in
        assert len(said) == 1 and 'a crop of the input' in said[0] and said[0] in found['last'].notes


@pytest.mark.parametrize(
    'between',
    [lambda x: x * x.mean((2, 3), keepdim=True), lambda x: F.group_norm(x, 2), lambda x: x * float(x.sum() > 0)],
    ids=['gate', 'group norm', 'data-dependent'],
)
def test_what_is_global_is_run_whole_and_layers_in_front_of_it_are_not(between, boxes):
    model, data = Mixed(between), Noise(2, (3, *SIZE))
    result = st_erf(model, data, ['first', 'last'])['last']
    assert result.field is None or 'data' in repr(between) or result.field == (5, 5)
    found = st_erf(model, data, ['first'])
    assert boxes == [None, (47, 39, 50, 42)]
    check(found, whole(model, data, ['first']))


def test_the_model_is_left_as_found(boxes):
    class Remembers(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.table, self.seen = nn.Conv2d(3, 4, 3, padding=1), None, []

        def forward(self, x):
            if self.table is None or self.table.shape[2:] != x.shape[2:]:
                self.table = torch.zeros(1, 1, *x.shape[2:], device=x.device)
            self.seen.append(x.device)
            return self.conv(x + self.table)

    model = Remembers()
    weight = model.conv.weight
    st_erf(model, Noise(2, (3, *SIZE)), 'conv')
    assert boxes == [(47, 39, 50, 42)]
    assert model.table is None and model.seen == [] and model.conv.weight is weight and model.training
    assert not model._forward_hooks and not model.conv._forward_hooks


def test_memory_is_that_of_the_crop(boxes):
    model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.Tanh(), nn.Conv2d(8, 8, 3, padding=1), nn.Tanh())
    data, batches = Noise(5, (3, *SIZE)), []
    model.register_forward_pre_hook(lambda module, args: batches.append(tuple(args[0].shape)))
    one = (3 + 2 * 8 + TEMPORARY * 8) * 4 * 5 * 5 / GIB
    found = st_erf(model, data, '3', memory=2.5 * one)
    assert [b for b in batches if b[2:] == (5, 5)][-2:] == [(2, 3, 5, 5)] * 2
    check(found, whole(model, data, '3'))
    with pytest.raises(ValueError, match='takes more than the memory asked for'):
        st_erf(model, data, '3', memory=0.9 * one)


def test_the_field_is_a_metric(boxes):
    results = st_erf(Mixed(nn.Identity()), Noise(1, (3, *SIZE)), ['first', 'last'])
    assert [(r['field_h'], r['field_w']) for r in map(measure, results.values())] == [(3, 3), (5, 5)]
    result = st_erf(Mixed(lambda x: x - x.mean()), Noise(1, (3, *SIZE)), 'last')['last']
    assert np.isnan(measure(result)['field_h'])
