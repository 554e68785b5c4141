"""Two models, metric by metric: differences with bootstrap intervals over inputs.

Each metric is that of the map averaged over inputs. The bootstrap draws inputs with replacement, the same ones for both
models where they saw the same inputs, and takes each metric of the two averages again: what the percentiles of the
difference span is an interval over inputs, and says nothing of other seeds, weights or data. Source: Efron and
Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Optional

import numpy as np

from .core import STERF
from .metrics import centre_share, centred_box, entropy_coverage, moments, temporal_decay

METRICS = (
    'side_50', 'area_20', 'area_30', 'area_50', 'area_99', 'nonzero', 'radius', 'entropy_coverage', 'centre_share',
    'half_life',
)  # fmt: skip
"""What is compared: the numbers of `measure` that a resampled map has without a fit of its profiles."""

FEWEST = 5
"""Inputs below which an interval is none: all resamples of few inputs look alike."""


def numbers_of(result: STERF) -> dict[str, float]:
    """Return `METRICS` of one map, as `measure` defines them."""
    a = result.spatial() * (not result.cancels)
    out = {}
    for share in (0.2, 0.3, 0.5, 0.99):
        side, area = centred_box(a, share, result.centre)
        out[f'area_{round(100 * share)}'] = area
        if share == 0.5:
            out['side_50'] = float(side) if side else math.nan
    out['nonzero'] = math.nan if result.cancels else float((a > 0).mean())
    out['radius'] = moments(a)[2]
    out['entropy_coverage'] = entropy_coverage(a)
    out['centre_share'] = centre_share(a, result.centre)
    out['half_life'] = temporal_decay(result.temporal() * (not result.cancels))['half_life']
    return {name: out[name] for name in METRICS}


def compare(
    first: Mapping[str, STERF],
    second: Mapping[str, STERF],
    *,
    paired: bool = True,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    progress: Optional[Callable[[int, int], None]] = None,
) -> list[dict]:
    """Return a row for each pair of layers and each metric: values, difference (second - first) and its interval.

    Layers are paired by their order.

    Args:
        first, second: Results of `st_erf` with ``keep_samples=True``.
        paired: Whether the i-th map of both is of the same input: then inputs are drawn for both at once.
        resamples: Of the bootstrap.
        level: Of the interval, which is between percentiles.
        seed: Of the draws.
        progress: ``progress(done, total)`` after every pair of layers.

    Returns:
        Dicts of layer_1, layer_2, metric, value_1, value_2, difference, low, high, decided (the interval does not hold
        0), inputs, resamples, level, paired. Intervals are NaN where a metric is undefined in more than one resample in
        twenty.

    Raises:
        ValueError: If layers differ in number, maps of single inputs were not kept, or there are too few inputs.
    """
    if len(first) != len(second):
        raise ValueError(
            f'layers are compared by their order, but there are {len(first)} ({", ".join(first)}) and {len(second)} '
            f'({", ".join(second)}): name as many of both'
        )
    rows = []
    for done, (a, b) in enumerate(zip(first.values(), second.values()), 1):
        _check(a, b, paired)
        generator = np.random.default_rng(seed)
        draws = [[], []]
        for _ in range(resamples):
            picks = [generator.integers(a.num, size=a.num)]
            picks.append(picks[0] if paired else generator.integers(b.num, size=b.num))
            for drawn, result, pick in zip(draws, (a, b), picks):
                drawn.append(numbers_of(_resampled(result, pick)))
        values = numbers_of(a), numbers_of(b)
        for metric in METRICS:
            moved = np.array([d2[metric] - d1[metric] for d1, d2 in zip(*draws)])
            rows.append({
                'layer_1': a.layer, 'layer_2': b.layer, 'metric': metric,
                'value_1': values[0][metric], 'value_2': values[1][metric],
                **_interval(values[1][metric] - values[0][metric], moved, level),
                'inputs': min(a.num, b.num), 'resamples': resamples, 'level': level, 'paired': paired,
            })  # fmt: skip
        if progress:
            progress(done, len(first))
    return rows


def _resampled(result: STERF, pick: np.ndarray) -> STERF:
    counts = np.bincount(pick, minlength=result.num).astype('f4')
    drawn = counts > 0
    mean = np.tensordot(counts[drawn] / result.num, result.samples[drawn], 1)
    return replace(result, mean=mean.astype('f8'))


def _check(a: STERF, b: STERF, paired: bool) -> None:
    for result in (a, b):
        if result.samples is None:
            raise ValueError(f'{result.layer} has no maps of single inputs: st_erf(..., keep_samples=True) keeps them')
        if result.num < FEWEST:
            raise ValueError(f'{result.num} inputs are too few for an interval over inputs: {FEWEST} is the least')
    if paired and a.num != b.num:
        raise ValueError(f'inputs cannot be paired: {a.layer} has {a.num}, {b.layer} {b.num}')


def _interval(difference: float, moved: np.ndarray, level: float) -> dict:
    with np.errstate(invalid='ignore'):
        fine = np.isfinite(moved)
    if fine.mean() < 0.95 or not math.isfinite(difference):
        return {'difference': difference, 'low': math.nan, 'high': math.nan, 'decided': False}
    low, high = np.quantile(moved[fine], [(1 - level) / 2, (1 + level) / 2])
    return {'difference': difference, 'low': float(low), 'high': float(high), 'decided': bool(low > 0 or high < 0)}


def comparison_lines(rows: Sequence[Mapping], names: Sequence[str]) -> list[str]:
    """Return the table of `compare` for a terminal; * marks differences whose interval does not hold 0."""
    level, paired = rows[0]['level'], 'paired by input' if rows[0]['paired'] else 'NOT paired: inputs differ'
    lines = [
        f'{names[1]} - {names[0]}: {level:.0%} bootstrap intervals over {rows[0]["inputs"]} inputs '
        f'({rows[0]["resamples"]} resamples, {paired}); * does not hold 0'
    ]
    widths = [max(len(n), 10) for n in names]
    layer = None
    for r in rows:
        if (r['layer_1'], r['layer_2']) != layer:
            layer = r['layer_1'], r['layer_2']
            lines += ['', r['layer_1'] if layer[0] == layer[1] else f'{layer[0]}, {layer[1]}']
            lines.append(
                f'  {"metric":17}{names[0]:>{widths[0]}}  {names[1]:>{widths[1]}}  {"difference":>10}  interval'
            )
        if r['value_1'] != r['value_1'] and r['value_2'] != r['value_2']:
            continue
        span = 'n/a' if r['low'] != r['low'] else f'{r["low"]:+.4g} to {r["high"]:+.4g}' + ' *' * r['decided']
        lines.append(
            f'  {r["metric"]:17}{r["value_1"]:{widths[0]}.4g}  {r["value_2"]:{widths[1]}.4g}  '
            f'{r["difference"]:+10.4g}  {span}'
        )
    return lines
