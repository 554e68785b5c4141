"""Tables of a study, from its result lines: means over seeds, paired differences, rank correlations."""

import math
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import bootstrap, spearmanr
from tqdm import tqdm

from .figures import EARLY, draw, draw_temporal, draw_training

METRICS = {'mIoU': 'mIoU', 'coco/bbox_mAP': 'AP', 'coco/bbox_mAP_50': 'AP50', 'coco/bbox_mAP_s': 'AP small',
           'coco/bbox_mAP_m': 'AP large'}  # fmt: skip
"""Metrics by the names that the tables give them; COCO's medium objects are the large ones of the scenes."""
MAIN = ('marks right', 'mIoU', 'AP')
APART = ('AP50', 'AP small', 'AP large')
"""Metrics that differences are given of beside the main one, which is the first of MAIN that a table has."""
RESAMPLES = 9999
RANK_RESAMPLES = 1999
LEAST_CLUSTERS = 4
"""A rank correlation is over at least so many values of a factor."""


def newest(results: list) -> tuple:
    """Lines that may stand in one table: of each run the newest, of each factor and task the newest settings.

    Returns:
        (lines, {(factor, task): number of lines of older settings}).
    """
    runs: dict = {}
    for line in sorted(results, key=lambda r: r.get('finished', '')):
        runs[line['run']] = line
    settings = {(r['factor'], r['task']): settings_of(r) for r in runs.values()}
    kept, dropped = [], {}
    for line in runs.values():
        table = line['factor'], line['task']
        if settings_of(line) == settings[table]:
            kept.append(line)
        else:
            dropped[table] = dropped.get(table, 0) + 1
    return kept, dropped


def settings_of(line: dict) -> tuple:
    """What lines of one table share."""
    return line.get('task_key'), line['data_options'], line['iters']


def table_of(results: list):
    """A data frame of results, a row per run, in the order of values of the study file."""
    rows = []
    for r in results:
        row = {k: r[k] for k in ('factor', 'task', 'value', 'seed', 'parameters')}
        values = r.get('values') or [r['value']]
        row['order'] = values.index(r['value']) if r['value'] in values else len(values)
        row['CPU s'] = r['cpu_s']
        row['MMACs'] = r['ann_macs_per_image'] / 1e6
        row['MACs+ACs (M)'] = (r['macs_per_image'] + r['acs_per_image']) / 1e6
        row['saturated'] = r['saturated_share']
        row['attention saturated'] = r['attention_saturated_share']
        row.update({name: r['metrics'][key] for key, name in METRICS.items() if key in r['metrics']})
        row['mIoU'] = row['mIoU'] / 100 if 'mIoU' in row else None
        for stage, numbers in r['erf'].items():
            row.update({f'{metric} {stage}': number for metric, number in numbers.items()})
        row.update({f'mIoU at {size}': m['mIoU'] / 100 for size, m in (r.get('at_sizes') or {}).items()})
        row.update({f'{name} right': share for name, share in (r.get('marks') or {}).items()})
        rows.append(row)
    frame = pd.DataFrame(rows).sort_values(['factor', 'task', 'order', 'seed'], kind='stable', ignore_index=True)
    return frame.dropna(axis=1, how='all')


def interval(differences) -> tuple:
    """Bootstrap interval (95 %, percentile) of the mean of paired differences; NaN for one, or equal ones."""
    if len(differences) < 2 or np.ptp(differences) == 0:
        return math.nan, math.nan
    found = bootstrap((np.asarray(differences),), np.mean, n_resamples=RESAMPLES, method='percentile', rng=0)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def rank_correlation(frame, x: str, y: str) -> tuple:
    """Spearman's coefficient of two columns with its bootstrap interval (95 %, percentile).

    Runs of one value differ by their seeds alone, so values are resampled with all their runs. Resamples in which a
    column is constant have no coefficient, and are left out; NaN if less than half of them have one.
    """
    clusters = [part[[x, y]].to_numpy(float) for _, part in frame.groupby('value', sort=False)]
    rng, found = np.random.default_rng(0), []
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # constant columns
        rho = float(spearmanr(frame[x], frame[y]).statistic)
        for _ in range(RANK_RESAMPLES):
            drawn = np.concatenate([clusters[i] for i in rng.integers(len(clusters), size=len(clusters))])
            found.append(spearmanr(drawn[:, 0], drawn[:, 1]).statistic)
    found = [value for value in found if math.isfinite(value)]
    if len(found) < RANK_RESAMPLES / 2:
        return rho, math.nan, math.nan
    low, high = np.quantile(found, [0.025, 0.975])
    return rho, float(low), float(high)


def factor_table(frame, metric: str) -> str:
    """Markdown: a row per value, of one factor and task, in the order of the frame."""
    wanted = [*METRICS.values(), *(c for c in frame if c.startswith('mIoU at ') or c.endswith(' right'))]
    shown = [name for name in wanted if name in frame and frame[name].notna().any()]
    sizes = ['parameters', 'MMACs', 'MACs+ACs (M)', 'CPU s']
    saturation = ('saturated', 'attention saturated') if frame.factor.iloc[0] == 'attention_scale' else ()
    extra = [name for name in saturation if name in frame]
    fields = [f'{m} {s}' for s in ('1a', '1b', '2') for m in ('area_50', 'area_99')]
    fields = [name for name in fields if name in frame and frame[name].notna().any()]
    compared = [metric, *(name for name in APART if name in shown)]
    values = list(dict.fromkeys(frame.value))
    first = frame[frame.value == values[0]].set_index('seed')
    if 'order' in frame and frame.order.min() > 0:  # the study's first value has not run yet
        first = first.iloc[:0]
    differences = [f'{name} - {values[0]}' for name in compared]
    header = ['value', 'runs', *shown, *differences, *extra, *fields, *sizes]
    lines = ['| ' + ' | '.join(header) + ' |', '|' + '---|' * len(header)]
    for value in values:
        part = frame[frame.value == value]
        differences = [
            '' if value == values[0] else _difference(part.set_index('seed')[name] - first[name]) for name in compared
        ]
        spread = [
            f'{part[name].mean():.3f}' + (f' ± {part[name].std():.3f}' if len(part) > 1 else '')
            for name in (*shown, *extra)
        ]
        cells = [value, str(len(part)), *spread[: len(shown)], *differences, *spread[len(shown) :]]
        cells += [f'{part[name].mean():.3f}' for name in fields]
        cells += [f'{part[n].mean():.0f}' if n in ('parameters', 'CPU s') else f'{part[n].mean():.1f}' for n in sizes]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def _difference(paired) -> str:
    """Mean of paired differences with its interval."""
    paired = paired.dropna()
    if paired.empty:
        return ''
    low, high = interval(paired)
    return f'{paired.mean():+.3f}' + (f' [{low:+.3f}, {high:+.3f}]' if low == low else '')


def growth(results: list) -> str:
    """A sentence: receptive fields that the hook measured during training, means over the runs of each value."""
    found: dict = {}
    for result in results:
        for point in result['training']:
            if EARLY in point.get('erf', {}):
                areas = found.setdefault(result['value'], {}).setdefault(point['iter'], [])
                areas.append(point['erf'][EARLY]['area_99'])
    if not found:
        return ''
    order = results[0].get('values') or sorted(found)
    parts = [
        f'{value} ' + ', '.join(f'{sum(a) / len(a):.3f}' for _, a in sorted(found[value].items()))
        for value in order if value in found
    ]  # fmt: skip
    iterations = ', '.join(map(str, sorted(next(iter(found.values())))))
    return f'area_99 {EARLY} during training, at iterations {iterations}: {"; ".join(parts)}.'


def write_report(results: list, out: Path) -> list:
    """Write tables and figures; returns the files."""
    results, dropped = newest(results)
    frame = table_of(results)
    images = out.parent / 'images'
    images.mkdir(parents=True, exist_ok=True)
    out.mkdir(parents=True, exist_ok=True)
    files, text = [out / 'tables.md'], ['<!-- Written by tools/study/report.py. -->']
    groups = list(dict.fromkeys(zip(frame.factor, frame.task)))
    for factor, task in tqdm(groups, desc='tables and figures', disable=None):
        part = frame[(frame.factor == factor) & (frame.task == task)]
        metric = next(name for name in MAIN if name in part and part[name].notna().any())
        file = images / f'study_{factor}_{task}.png'
        draw(part, metric, file, f'{factor}, {task}')
        files.append(file)
        text += [
            f'\n## {factor}, {task}\n',
            factor_table(part, metric),
            f'\n![{factor}, {task}](../images/{file.name})',
        ]
        if dropped.get((factor, task)):
            text.append(f'\nLines of older settings left out: {dropped[factor, task]}.')
        curves = [r for r in results if (r['factor'], r['task']) == (factor, task)]
        if factor == 'attention_scale' and any('attention_saturated' in p for r in curves for p in r['training']):
            file = images / f'study_{factor}_{task}_training.png'
            draw_training(curves, file, f'{factor}, {task}')
            files.append(file)
            text.append(f'\n![{factor}, {task}: saturation over training](../images/{file.name})')
        if any(r.get('temporal') for r in curves):
            file = images / f'study_{factor}_{task}_temporal.png'
            draw_temporal(curves, file, f'{factor}, {task}: temporal ERF')
            files.append(file)
            text.append(f'\n![{factor}, {task}: temporal ERF](../images/{file.name})')
        grown = growth(curves)
        if grown:
            text.append(f'\n{grown}')
        for field in (f'area_50 {EARLY}', f'area_99 {EARLY}'):
            known = part[['value', field, metric]].dropna()
            if known.value.nunique() >= LEAST_CLUSTERS and known[field].nunique() > 1 and known[metric].nunique() > 1:
                rho, low, high = rank_correlation(known, field, metric)
                within = f'[{low:+.2f}, {high:+.2f}]' if low == low else '(no interval)'
                text.append(f'\nSpearman correlation of {field} and {metric}, {len(known)} runs: {rho:+.2f} {within}.')
    files[0].write_text('\n'.join(text) + '\n')
    return files
