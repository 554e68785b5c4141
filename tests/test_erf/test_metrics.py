"""Metrics on maps with known values, and the files they go to."""

import csv
import json
import math

import numpy as np
import pytest
from numpy.testing import assert_allclose

from mmsterf.erf import STERF, measure, replace_file, write_csv, write_json, write_maps
from mmsterf.erf.metrics import (
    centre_share,
    centred_box,
    entropy_coverage,
    fit_gaussian,
    gaussian,
    moments,
    temporal_decay,
)


def gaussian_map(size=(81, 101), centre=(40, 50), sigma=(5.0, 8.0)):
    rows, columns = np.arange(size[0]), np.arange(size[1])
    return np.outer(gaussian(rows, 1, centre[0], sigma[0]), gaussian(columns, 1, centre[1], sigma[1]))


def result(mean, centre=None):
    mean = np.asarray(mean, float)
    centre = centre or tuple(n // 2 for n in mean.shape[1:])
    return STERF('stage', mean, np.zeros_like(mean), 3, centre, (1, 1), (2, 2), len(mean), 'last')


def test_centred_box_of_a_uniform_map_is_its_share():
    a = np.ones((101, 101))
    for share in (0.2, 0.3, 0.5, 0.99):
        side, area = centred_box(a, share, (50, 50))
        assert side == next(s for s in range(1, 102, 2) if s * s >= share * 101 * 101)
        assert_allclose(area, side**2 / 101**2)


def test_centred_box_is_safe_for_any_shape_and_position():
    a = np.ones((10, 40))
    assert centred_box(a, 1.0, (5, 20)) == (41, 1.0)
    side, area = centred_box(a, 0.5, (5, 20))
    assert (side, area) == (21, 21 / 40)  # all ten rows; nineteen columns are short of half
    assert centred_box(a, 0.5, (0, 0)) == (39, 0.5)


def test_centred_box_of_a_point_and_of_nothing():
    a = np.zeros((9, 9))
    assert centred_box(a, 0.5, (4, 4))[0] == 0 and math.isnan(centred_box(a, 0.5, (4, 4))[1])
    a[4, 4] = 3
    assert centred_box(a, 0.99, (4, 4)) == (1, 1 / 81)


def test_moments_of_a_gaussian():
    row, column, radius = moments(gaussian_map(centre=(38, 55)))
    assert_allclose((row, column, radius), (38, 55, math.hypot(5, 8)), rtol=1e-3)
    assert moments(np.eye(3)[1:2])[2] == 0


@pytest.mark.parametrize('sigma', [0.7, 3.0, 20.0])
def test_gaussian_fit_recovers_its_parameters(sigma):
    fit = fit_gaussian(gaussian(np.arange(64), 2.5, 30.3, sigma))
    assert_allclose([fit['amplitude'], fit['mean'], fit['sigma'], fit['r2']], [2.5, 30.3, sigma, 1], rtol=1e-6)


def test_gaussian_fit_is_a_least_squares_minimum():
    rng = np.random.default_rng(0)
    x = np.arange(50)
    y = np.abs(gaussian(x, 1, 20, 6) + 0.05 * rng.standard_normal(50)) + 0.1
    fit = fit_gaussian(y)
    best = [fit['amplitude'], fit['mean'], fit['sigma']]
    cost = ((y - gaussian(x, *best)) ** 2).sum()
    for i in range(3):
        for change in (0.99, 1.01):
            other = list(best)
            other[i] *= change
            assert ((y - gaussian(x, *other)) ** 2).sum() > cost
    assert_allclose(fit['r2'], 1 - cost / ((y - y.mean()) ** 2).sum())


def test_gaussian_fit_of_degenerate_profiles():
    point = fit_gaussian(np.eye(9)[4])
    assert (point['mean'], point['sigma'], point['r2']) == (4, 0, 1)
    assert math.isnan(fit_gaussian(np.zeros(5))['sigma'])
    assert math.isnan(fit_gaussian(np.ones(50))['r2'])


def test_entropy_coverage():
    assert_allclose(entropy_coverage(np.ones((7, 5))), 1)
    assert_allclose(entropy_coverage(np.eye(4)), 0.25)
    # the entropy of a Gaussian is ln(2 pi e s_v s_h)
    assert_allclose(entropy_coverage(gaussian_map()) * 81 * 101, 2 * math.pi * math.e * 40, rtol=1e-2)
    assert math.isnan(entropy_coverage(np.zeros((2, 2))))


def test_centre_share():
    assert_allclose(centre_share(np.ones((80, 160)), (40, 80)), 11 * 21 / 80 / 160)
    assert centre_share(np.eye(16)[:1], (0, 0)) == 1


@pytest.mark.parametrize('tau', [1.1, 2.0, 4.0])
def test_temporal_decay_of_a_leaky_integrator(tau):
    fit = temporal_decay(3 * (1 - 1 / tau) ** np.arange(8))
    assert_allclose(fit['decay_constant'], -1 / math.log(1 - 1 / tau))
    assert_allclose(fit['half_life'], -math.log(2) / math.log(1 - 1 / tau))
    assert_allclose(fit['decay_r2'], 1)


def test_temporal_decay_at_its_ends():
    assert temporal_decay(np.array([1.0, 0, 0]))['half_life'] == 0
    assert temporal_decay(np.array([1.0, 1, 2]))['decay_constant'] == math.inf
    assert math.isnan(temporal_decay(np.array([1.0]))['decay_constant'])
    assert math.isnan(temporal_decay(np.zeros(4))['decay_constant'])


def test_scale_does_not_matter():
    a = np.random.default_rng(0).random((3, 17, 23))
    small, large = measure(result(a)), measure(result(1e3 * a))
    assert small.keys() == large.keys()
    for key, value in small.items():
        if isinstance(value, float):
            assert_allclose(large[key], value, rtol=1e-6, err_msg=key)


def test_files(tmp_path):
    rows = [measure(result(np.ones((2, 6, 8)))), measure(result(np.zeros((1, 6, 8))))]
    about = {'model': 'm', 'weights': 'random'}
    data = json.loads(write_json(tmp_path / 'new' / 'm.json', rows, about).read_text())
    assert data['weights'] == 'random'
    assert data['layers'][0]['nonzero'] == 1
    assert data['layers'][1]['area_99'] is None
    with write_csv(tmp_path / 'm.csv', rows).open() as file:
        table = list(csv.DictReader(file))
    assert [float(r['nonzero']) for r in table] == [1, 0]
    maps = np.load(write_maps(tmp_path / 'm.npz', {'a.b:0': result(np.ones((2, 6, 8)))}))
    assert maps['mean/a.b:0'].shape == (2, 6, 8)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['m.csv', 'm.npz', 'new']


def test_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / 'm.csv'
    path.write_text('old')
    with pytest.raises(ValueError):
        replace_file(path, lambda part: (part.write_text('new'), int('x')))
    assert path.read_text() == 'old'
    assert [p.name for p in tmp_path.iterdir()] == ['m.csv']
