"""Differences of metrics between two models, with intervals over inputs."""

import math
from dataclasses import replace

import numpy as np
import pytest
from torch import nn

from mmsterf.erf import STERF, Noise, compare, comparison_lines, measure, st_erf
from mmsterf.erf.compare import METRICS, numbers_of


def result(samples, layer='stage', steps=1):
    samples = np.asarray(samples, 'f4').reshape(len(samples), steps, *np.shape(samples)[-2:])
    h, w = samples.shape[-2:]
    mean = samples.mean(0).astype(float)
    return STERF(layer, mean, mean * 0, len(samples), (h // 2, w // 2), (1, 1), (2, 2), steps, 'last', samples=samples)


def blobs(num, sigma, seed=0, spread=0.0, shared=0.0):
    """Gaussian maps around the middle; `shared` moves the width by the same for every seed, input by input."""
    own, common = np.random.default_rng(seed).standard_normal(num), np.random.default_rng(99).standard_normal(num)
    rows, columns = np.mgrid[-15:16, -15:16]
    widths = sigma + spread * own + shared * common
    return result([np.exp(-(rows**2 + columns**2) / (2 * w**2)) for w in widths])


def by_metric(rows):
    return {r['metric']: r for r in rows}


def test_numbers_are_those_of_measure():
    maps = st_erf(nn.Sequential(nn.Conv2d(3, 4, 5, padding=2), nn.Tanh()), Noise(3, (3, 20, 20)), '1')
    assert numbers_of(maps['1']) == pytest.approx({m: measure(maps['1'])[m] for m in METRICS}, nan_ok=True)
    empty = replace(maps['1'], cancels=True)
    assert all(math.isnan(v) for v in numbers_of(empty).values())


def test_interval_of_a_linear_metric_is_that_of_the_mean():
    # All maps have the same sum, and a share s of it in the middle pixel: centre_share is linear in the mean of s
    generator = np.random.default_rng(0)
    shares = generator.uniform(0.2, 0.4, (2, 40)) + np.array([[0], [0.1]])

    def maps(s):
        a = np.full((len(s), 9, 9), 1 / 81)
        a *= ((1 - s) / (80 / 81))[:, None, None]
        a[:, 4, 4] = s
        return result(a)

    rows = by_metric(compare({'a': maps(shares[0])}, {'b': maps(shares[1])}, resamples=2000))
    found = rows['centre_share']
    assert found['difference'] == pytest.approx(numbers_of(maps(shares[1]))['centre_share'] - found['value_1'])
    moved = shares[1] - shares[0]
    per_share = found['difference'] / moved.mean()
    half = 1.96 * moved.std() / 40**0.5 * per_share
    assert found['low'] == pytest.approx(found['difference'] - half, abs=0.15 * half)
    assert found['high'] == pytest.approx(found['difference'] + half, abs=0.15 * half)
    assert found['decided']


def test_pairing_removes_what_both_models_share():
    a, b = blobs(30, 4.0, 1, 0.02, shared=0.8), blobs(30, 4.2, 2, 0.02, shared=0.8)
    paired, apart = (by_metric(compare({'a': a}, {'b': b}, paired=p, resamples=300))['radius'] for p in (True, False))
    assert paired['difference'] == apart['difference'] > 0
    assert paired['decided'] and not apart['decided']
    assert paired['high'] - paired['low'] < 0.3 * (apart['high'] - apart['low'])
    again = by_metric(compare({'a': a}, {'b': b}, resamples=300))['radius']
    assert again == paired


def test_of_equal_models_nothing_is_decided_in_most_cases():
    decided = 0
    for seed in range(40):
        a, b = blobs(12, 4.0, 2 * seed, 0.5), blobs(12, 4.0, 2 * seed + 1, 0.5)
        decided += by_metric(compare({'a': a}, {'b': b}, resamples=100))['radius']['decided']
    assert decided <= 9  # 5 % are expected, percentile intervals of 12 inputs are somewhat short
    rows = compare({'a': blobs(6, 4.0)}, {'b': blobs(6, 4.0)}, resamples=20)
    assert not any(r['decided'] for r in rows) and by_metric(rows)['radius']['difference'] == 0


def test_table_marks_what_is_decided_and_leaves_out_what_is_undefined():
    rows = compare({'s1': blobs(8, 3.0, spread=0.1)}, {'t1': blobs(8, 5.0, spread=0.1)}, resamples=50)
    lines = comparison_lines(rows, ['small', 'large'])
    assert 'large - small: 95% bootstrap intervals over 8 inputs (50 resamples, paired by input)' in lines[0]
    radius = next(line for line in lines if 'radius' in line)
    assert radius.endswith('*') and '+' in radius
    assert not any('half_life' in line for line in lines)  # one step has no delays
    steps = [result(np.tile(np.eye(9), (8, 2, 1, 1)) * [[[[4]], [[c]]]], steps=2) for c in (2, 1)]
    half = by_metric(compare({'a': steps[0]}, {'b': steps[1]}, resamples=20))['half_life']
    assert (half['value_1'], half['value_2'], half['low']) == pytest.approx((1, 0.5, -0.5))


def test_what_cannot_be_compared():
    fine, few = {'a': blobs(6, 3.0)}, {'a': blobs(4, 3.0)}
    with pytest.raises(ValueError, match=r'1 \(a\) and 2 \(a, b\): name as many'):
        compare(fine, {**fine, 'b': fine['a']})
    with pytest.raises(ValueError, match='4 inputs are too few'):
        compare(few, few)
    with pytest.raises(ValueError, match='keep_samples=True'):
        compare(fine, {'a': replace(fine['a'], samples=None)})
    with pytest.raises(ValueError, match='has 6, stage 7'):
        compare(fine, {'a': blobs(7, 3.0)})
