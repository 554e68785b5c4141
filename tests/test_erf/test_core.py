"""The ST-ERF core on models whose receptive field is known, and that it leaves no trace."""

import logging
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from mmsterf.erf import Noise, firing_rates, locate, st_erf


def box(n: int, k: int) -> np.ndarray:
    """n-fold convolution of a k box with itself."""
    out = np.ones(1)
    for _ in range(n):
        out = np.convolve(out, np.ones(k))
    return out


class Ones(nn.Sequential):
    """n convolutions k x k with all weights one, no bias."""

    def __init__(self, n: int, k: int, channels: int = 1) -> None:
        super().__init__(*(nn.Conv2d(channels, channels, k, padding=k // 2, bias=False) for _ in range(n)))
        for p in self.parameters():
            nn.init.ones_(p)


class Leaky(nn.Module):
    """Leaky integrator v[t] = (1 - 1/tau) v[t-1] + x[t] over folded or sequence inputs."""

    def __init__(self, tau: float, time_steps: int, folded: bool) -> None:
        super().__init__()
        self.tau, self.time_steps, self.folded = tau, time_steps, folded

    def forward(self, x):
        x = x.unflatten(0, (self.time_steps, -1)) if self.folded else x
        v, out = 0, []
        for frame in x:
            v = (1 - 1 / self.tau) * v + frame
            out.append(v)
        out = torch.stack(out)
        return out.flatten(0, 1) if self.folded else out


@pytest.mark.parametrize(('n', 'k'), [(1, 3), (3, 3), (4, 5)])
@pytest.mark.parametrize('size', [(33, 33), (31, 40)])
def test_stacked_box_convolutions(n, k, size):
    model = Ones(n, k).double()
    result = st_erf(model, Noise(2, (1, *size)), '.')['.']
    expected = np.zeros(size)
    half = n * (k // 2)
    rows, columns = (slice(s // 2 - half, s // 2 + half + 1) for s in size)
    expected[rows, columns] = np.outer(box(n, k), box(n, k))
    np.testing.assert_allclose(result.mean, expected[None], atol=1e-9)
    np.testing.assert_allclose(result.sem, 0, atol=1e-9)
    assert result.centre == (size[0] // 2, size[1] // 2)


@pytest.mark.parametrize('input_time', ['folded', 'sequence'])
@pytest.mark.parametrize('tau', [1.25, 2.0, 4.0])
def test_leaky_integrators_give_the_closed_form(tau, input_time):
    """v[t] = sum over d of (1 - 1/tau)^d x[t-d], so that is the temporal ERF."""
    steps = 6
    model = Leaky(tau, steps, input_time == 'folded')
    decay = (1 - 1 / tau) ** np.arange(steps)
    arguments = dict(time_steps=steps, input_time=input_time)
    data = Noise(3, (steps, 2, 4, 5))
    last = st_erf(model, data, '.', **arguments)['.']
    np.testing.assert_allclose(last.temporal(), decay, rtol=1e-6)
    assert np.count_nonzero(last.mean[0]) == 1
    np.testing.assert_allclose(st_erf(model, data, '.', step=2, **arguments)['.'].temporal(), decay[:3], rtol=1e-6)
    np.testing.assert_allclose(st_erf(model, data, '.', step='all', **arguments)['.'].mean, last.mean, rtol=1e-6)
    total = st_erf(model, data, '.', step='sum', **arguments)['.']
    assert total.mean.shape == (1, 4, 5)
    expected = np.mean([decay[: steps - s].sum() for s in range(steps)])
    np.testing.assert_allclose(total.mean[0, 2, 2], expected, rtol=1e-6)


def test_chain_of_leaky_integrators():
    steps, tau = 7, 3.0
    model = nn.Sequential(*(Leaky(tau, steps, True) for _ in range(3)))
    result = st_erf(model, Noise(1, (steps, 1, 3, 3)), '.', time_steps=steps, input_time='folded')['.']
    one = (1 - 1 / tau) ** np.arange(steps)
    expected = np.convolve(np.convolve(one, one), one)[:steps]
    np.testing.assert_allclose(result.temporal(), expected, rtol=1e-5)


class Roll(nn.Module):
    def forward(self, x):
        return torch.roll(x, (2, -3), (-2, -1))


def test_identity_shift_and_global_average():
    model = nn.Sequential(nn.Identity(), Roll(), nn.AdaptiveAvgPool2d(1))
    maps = st_erf(model, Noise(2, (1, 12, 17)), ['0', '1', '2'])
    point = np.zeros((12, 17))
    point[6, 8] = 1
    np.testing.assert_array_equal(maps['0'].spatial(), point)
    moved = np.zeros((12, 17))
    moved[4, 11] = 1
    np.testing.assert_array_equal(maps['1'].spatial(), moved)
    np.testing.assert_allclose(maps['2'].spatial()[4, 11], 1 / (12 * 17))
    assert np.ptp(maps['2'].spatial()) == 0


def test_repeated_image_and_sequence_agree():
    """A sample shown at every step has, without separate frames, the sum over delays."""
    model = Leaky(2.0, 4, True)
    frames = st_erf(model, Noise(2, (1, 4, 4)), '.', time_steps=4, input_time='folded')['.']

    def forward(model, x):
        return model(x.repeat(4, 1, 1, 1))

    image = st_erf(model, Noise(2, (1, 4, 4)), '.', time_steps=4, forward=forward)['.']
    assert frames.mean.shape == (4, 4, 4)
    assert image.mean.shape == (1, 4, 4)
    np.testing.assert_allclose(image.mean[0], frames.mean.sum(0))


class Views(nn.Module):
    """One convolution, its output in the layouts that vision models use."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.map, self.last, self.tokens, self.classed, self.columns = (nn.Identity() for _ in range(5))
        self.pair, self.named = nn.Identity(), nn.Identity()
        self.inplace = nn.ReLU(inplace=True)
        self.head = nn.Linear(6, 4)
        self.unused = nn.Conv2d(3, 3, 1)
        self.constant = nn.Linear(2, 2)

    def forward(self, x):
        y = self.map(self.stem(x))
        self.last(y.permute(0, 2, 3, 1))
        tokens = self.tokens(y.flatten(2).transpose(1, 2))
        self.columns(y.flatten(2))
        self.classed(torch.cat([tokens.mean(1, keepdim=True), tokens], 1))
        self.pair((y.mean((2, 3)), [y, y * 2]))
        self.named({'shape': (3, 4), 'out': y})
        self.constant(torch.ones(1, 2))
        return self.head(self.inplace(self.stem(x)).mean((2, 3)))


@pytest.mark.parametrize('size', [(32, 32), (31, 45)])
def test_layouts_agree(size):
    model = Views()
    layers = ['map', 'last', 'tokens', 'columns', 'classed', 'pair', 'pair:1', 'pair:2', 'named', 'stem']
    maps = st_erf(model, Noise(2, (3, *size)), layers, axes={'columns': 'NCL'})
    expected = maps['map']
    assert expected.grid == (-(-size[0] // 2), -(-size[1] // 2))
    for name in layers:
        factor = 2 if name == 'pair:2' else 1
        assert maps[name].cell == expected.cell, name
        np.testing.assert_allclose(maps[name].mean, factor * expected.mean, rtol=1e-5, err_msg=name)


def test_in_place_operation_behind_a_layer_does_not_move_it():
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(inplace=True))
    maps = st_erf(model, Noise(1, (1, 9, 9)), ['0', '1'])
    assert np.count_nonzero(maps['0'].mean) == 9
    assert not np.array_equal(maps['0'].mean, maps['1'].mean)


@pytest.mark.parametrize(
    ('layer', 'why'),
    [
        ('unused', 'never runs'),
        ('constant', 'does not depend on the input'),
        ('head', 'has no spatial shape'),
        ('steem', 'is no layer of this model'),
        ('x*', 'matches no layer'),
        ('', 'layers has an empty name'),
        ('pair:0', 'has no spatial shape'),
    ],
)
def test_unusable_layers_are_named_with_those_that_would_do(layer, why):
    with pytest.raises(ValueError, match=why) as error:
        st_erf(Views(), Noise(1, (3, 16, 16)), ['stem', layer])
    assert repr(layer) in str(error.value)
    assert 'stem' in str(error.value).split('would do')[1]


def test_layers_by_module_and_pattern():
    model = Views()
    assert list(st_erf(model, Noise(1, (3, 16, 16)), [model.last, 'ma*'])) == ['last', 'map']
    assert list(st_erf(model, Noise(1, (3, 16, 16)), 'pair:*')) == ['pair:1', 'pair:2']
    with pytest.raises(ValueError, match='not part of'):
        st_erf(model, Noise(1, (3, 16, 16)), nn.ReLU())


@pytest.mark.parametrize(
    ('arguments', 'why'),
    [
        (dict(time_steps=0), 'time_steps'),
        (dict(batch_size=0), 'batch_size'),
        (dict(input_time='video'), "one of auto, image, sequence, folded, got 'video'"),
        (dict(step='first'), "one of last, all, sum .* got 'first'"),
        (dict(step=1), 'index below 1'),
        (dict(axes='CHW'), "got 'CHW'"),
        (dict(position=(16, 3)), r'inside 16 x 16, got \(16, 3\)'),
        (dict(position='top'), "got 'top'"),
    ],
)
def test_bad_arguments(arguments, why):
    with pytest.raises(ValueError, match=why):
        st_erf(Ones(1, 3), Noise(1, (1, 16, 16)), '.', **arguments)


def test_bad_inputs():
    with pytest.raises(ValueError, match='empty'):
        st_erf(Ones(1, 3), [], '.')
    with pytest.raises(ValueError, match=r'input 1 .* resize'):
        st_erf(Ones(1, 3), [torch.zeros(1, 8, 8), torch.zeros(1, 8, 9)], '.')
    with pytest.raises(ValueError, match='2 steps, but time_steps is 3'):
        st_erf(Ones(1, 3), [torch.zeros(2, 1, 8, 8)], '.', time_steps=3, input_time='folded')


def test_locate():
    assert locate('center', (224, 97), (14, 7)) == (7, 3)
    assert locate((0.0, 1.0), (224, 97), (14, 7)) == (0, 6)
    assert locate((223, 0), (224, 97), (14, 7)) == (13, 0)
    assert locate((113, 40), (224, 97), (224, 97)) == (113, 40)


def test_position_moves_the_map():
    maps = st_erf(Ones(2, 3), Noise(1, (1, 20, 30)), '.', position=(0, 29))['.']
    rows, columns = np.nonzero(maps.spatial())
    assert (rows.max(), columns.min()) == (2, 27)


def _network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.GELU(), nn.Dropout(0.5),
        nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Tanh(),
    )  # fmt: skip


def test_any_batch_size_gives_the_same_result_and_seeds_matter():
    model = _network()
    runs = [st_erf(model, Noise(5, (3, 24, 20)), ['0', '6'], batch_size=b) for b in (1, 2, 5, 8)]
    for run in runs[1:]:
        for name in ('0', '6'):
            np.testing.assert_allclose(run[name].mean, runs[0][name].mean, rtol=1e-5, atol=1e-9)
            np.testing.assert_allclose(run[name].sem, runs[0][name].sem, rtol=1e-3, atol=1e-8)
    other = st_erf(model, Noise(5, (3, 24, 20), seed=1), ['0', '6'])
    assert not np.allclose(other['6'].mean, runs[0]['6'].mean, rtol=1e-3)


def test_mean_and_standard_error_are_those_of_single_inputs():
    model, data = _network(), Noise(6, (3, 16, 16))
    single = np.stack([st_erf(model, data[i][None], '6')['6'].mean for i in range(6)])
    result = st_erf(model, iter(list(data)), '6', batch_size=4)['6']
    np.testing.assert_allclose(result.mean, single.mean(0), rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(result.sem, single.std(0, ddof=1) / 6**0.5, rtol=1e-3, atol=1e-8)
    assert np.isnan(st_erf(model, data[0][None], '6')['6'].sem).all()


def test_progress_counts_to_the_end():
    seen = []
    st_erf(_network(), Noise(3, (3, 16, 16)), ['0', '6'], batch_size=2, progress=lambda *a: seen.append(a))
    assert seen == [(1, 6), (2, 6), (4, 6), (6, 6)]  # the first alone, then two at a time


class Counter(nn.Module):
    """Keeps a state like spikingjelly's nodes, counts calls, and may fail."""

    def __init__(self) -> None:
        super().__init__()
        self._memories = {'v': 0.0}
        self.calls = 0
        self.trace = []
        self.fail = None
        self.register_buffer('seen', torch.zeros(()))

    def reset(self):
        self._memories['v'] = 0.0

    def forward(self, x):
        self.calls += 1
        self.trace.append(self.calls)
        self.seen += 1
        random.random(), np.random.rand(), torch.rand(1)
        if self.fail and self.calls > 1:
            raise self.fail
        self._memories['v'] = self._memories['v'] + x
        return self._memories['v'] + 0


@pytest.mark.parametrize('fail', [None, RuntimeError('no'), KeyboardInterrupt()])
def test_model_is_left_as_found(fail):
    counter = Counter()
    model = nn.Sequential(*_network(), counter)
    model[4].weight.requires_grad_(False)
    model[1].eval()
    grad = torch.ones_like(model[0].weight)
    model[0].weight.grad = grad
    state = torch.ones(2, 8, 8, 8, requires_grad=True) * 2
    counter._memories['v'] = state
    counter.fail = fail
    calls = []
    handle = model[0].register_forward_hook(lambda *a: calls.append(1))
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    hooks = [dict(m._forward_hooks) for m in model.modules()]
    generators = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()

    try:
        st_erf(model, Noise(4, (3, 16, 16)), ['0', '4', '7'], batch_size=2)
        assert fail is None
    except (RuntimeError, KeyboardInterrupt) as error:
        assert error is fail

    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert [m.training for m in model.modules()] == modes
    assert [dict(m._forward_hooks) for m in model.modules()] == hooks
    assert [p.requires_grad for p in model.parameters()] == [i != 4 for i in range(8)]
    assert model[0].weight.grad is grad and torch.equal(grad, torch.ones_like(grad))
    assert all(p.grad is None for p in list(model.parameters())[1:])
    assert counter._memories['v'] is state and state.grad_fn is not None
    assert (state == 2).all()
    assert counter.calls == 0 and counter.trace == []
    assert random.getstate() == generators[0]
    assert (np.random.get_state()[1] == generators[1]).all()
    assert torch.equal(torch.get_rng_state(), generators[2])
    assert calls
    handle.remove()
    assert not model[0]._forward_hooks


def test_state_does_not_leak_between_batches():
    counter = Counter()
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), counter)
    result = st_erf(model, Noise(3, (1, 8, 8)), ['0', '1'], batch_size=2)
    np.testing.assert_array_equal(result['1'].mean, result['0'].mean)


def test_frozen_models_inference_mode_and_wrappers():
    model = _network()
    expected = st_erf(model, Noise(2, (3, 16, 16)), '6')['6'].mean
    model.requires_grad_(False)
    with torch.inference_mode():
        np.testing.assert_array_equal(st_erf(model, Noise(2, (3, 16, 16)), '6')['6'].mean, expected)
    with torch.no_grad():
        wrapped = nn.Sequential(nn.DataParallel(model))
        np.testing.assert_array_equal(st_erf(wrapped, Noise(2, (3, 16, 16)), '0.6')['0.6'].mean, expected)
    assert isinstance(wrapped[0], nn.DataParallel)


def test_one_call_per_step():
    """A model that loops over time calls its layers once per step."""

    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.node = Counter()  # an integrator without leak

        def forward(self, x):
            return torch.stack([self.node(frame) for frame in x])

    maps = st_erf(Loop(), Noise(2, (3, 1, 4, 4)), ['node', '.'], time_steps=3)
    np.testing.assert_array_equal(maps['node'].temporal(), [1, 1, 1])
    np.testing.assert_array_equal(maps['.'].mean, maps['node'].mean)
    first = st_erf(Loop(), Noise(2, (3, 1, 4, 4)), ['node'], time_steps=3, step=0)['node']
    np.testing.assert_array_equal(first.temporal(), [1])


def test_a_sequential_run_child_by_child_is_its_last_child():
    class Backbone(nn.Module):
        def __init__(self):
            super().__init__()
            self.stage = Ones(2, 3)

        def forward(self, x):
            for block in self.stage:
                x = block(x)
            return x

    maps = st_erf(Backbone(), Noise(1, (1, 9, 9)), ['stage', 'stage.1'])
    np.testing.assert_array_equal(maps['stage'].mean, maps['stage.1'].mean)


def test_firing_rates_see_spikes_only():
    class Spike(nn.Module):
        def forward(self, x):
            return (x > 0).float() / 4

    model = nn.Sequential(nn.Conv2d(1, 2, 3), Spike(), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.ReLU())
    rates = firing_rates(model, torch.randn(1, 16, 16))
    assert set(rates) == {'1', '2'}
    assert 0 < rates['1'] < 1


def test_erf_needs_torch_and_numpy_only():
    code = (
        'import sys, mmsterf.erf; '
        'bad = {"mmengine", "mmcv", "mmdet", "mmseg", "spikingjelly", "matplotlib", "scipy"}; '
        'found = bad & {m.split(".")[0] for m in sys.modules}; '
        'assert not found, found'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def test_single_image_is_not_misread_behind_a_transposed_view():
    """torch's CPU batch norm backward is wrong for one image whose gradient has transposed strides."""
    torch.manual_seed(0)

    class Tokens(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.mix = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.Linear(6, 5)

        def forward(self, x):
            return self.mix(self.norm(self.conv(x)).flatten(2).transpose(1, 2))

    model = Tokens()
    model.norm.running_var.uniform_(0.5, 2)
    runs = [st_erf(model, Noise(2, (3, 6, 8)), 'mix', batch_size=b)['mix'] for b in (1, 2)]
    np.testing.assert_allclose(runs[0].mean, runs[1].mean, rtol=1e-5, atol=1e-9)
    assert np.count_nonzero(runs[0].mean) == 9


def test_behind_a_layer_norm_is_a_warning(caplog):
    """With equal gains the channels behind a layer norm sum to a constant."""
    caplog.set_level(logging.WARNING, 'mmsterf.erf')
    model = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.Flatten(2), Transpose(), nn.LayerNorm(6), nn.Identity())
    result = st_erf(model, Noise(1, (3, 8, 8)), ['0', '4'])
    assert result['4'].mean.max() < 1e-5 * result['0'].mean.max()
    assert result['4'].cancels and not result['0'].cancels
    assert caplog.messages == list(result['4'].notes)
    assert '0 is in front of its norm' in caplog.messages[0]


class Transpose(nn.Module):
    def forward(self, x):
        return x.transpose(1, 2)


def test_models_whose_train_returns_nothing():
    class Stock(nn.Sequential):
        def train(self, mode=True):
            super().train(mode)

        def eval(self):
            self.train(False)

    torch.manual_seed(0)
    stock = Stock(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
    plain = nn.Sequential(*stock)
    found, expected = (st_erf(m, Noise(1, (3, 16, 16)), ['0'])['0'].mean for m in (stock, plain))
    assert torch.equal(torch.as_tensor(found), torch.as_tensor(expected)) and found.any()
