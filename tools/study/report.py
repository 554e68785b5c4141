"""Tables and figures of a study: report.py [RESULTS] [--merge FILE ...].

Reads result lines of run.py and writes OUT/tables.md, which docs/study.md shows, and OUT/../images/study_*.png: per
factor and task mean and standard deviation over seeds, differences to the first value paired by seed with bootstrap
intervals, and the rank correlation of early receptive fields and accuracy. --merge first adds lines of other files
whose runs are not in RESULTS yet.
"""

import argparse
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.engine import arguments, command_line

METRICS = {'mIoU': 'mIoU', 'coco/bbox_mAP': 'AP', 'coco/bbox_mAP_50': 'AP50', 'coco/bbox_mAP_s': 'AP small',
           'coco/bbox_mAP_m': 'AP large'}  # fmt: skip
"""Metrics by the names that the tables give them; COCO's medium objects are the large ones of the scenes."""
MAIN = ('mIoU', 'AP')
EARLY = '1b'
"""Stage whose receptive field is compared with accuracy: the last one in front of stage 2."""
RESAMPLES = 9999


def table_of(results: list):
    """A data frame of results, a row per run."""
    import pandas as pd

    rows = []
    for r in results:
        row = {k: r[k] for k in ('factor', 'task', 'value', 'seed', 'parameters', 'cpu_s')}
        row['MMACs'] = r['ann_macs_per_image'] / 1e6
        row['MACs+ACs (M)'] = (r['macs_per_image'] + r['acs_per_image']) / 1e6
        row['saturated'] = r['saturated_share']
        row['attention saturated'] = r['attention_saturated_share']
        row.update({name: r['metrics'][key] for key, name in METRICS.items() if key in r['metrics']})
        row['mIoU'] = row['mIoU'] / 100 if 'mIoU' in row else None
        for stage, numbers in r['erf'].items():
            row.update({f'{metric} {stage}': number for metric, number in numbers.items()})
        row.update({f'mIoU at {size}': m['mIoU'] / 100 for size, m in (r.get('at_sizes') or {}).items()})
        rows.append(row)
    return pd.DataFrame(rows).dropna(axis=1, how='all')


def interval(differences) -> tuple:
    """Bootstrap interval (95 %, percentile) of the mean of paired differences; NaN for one, or equal ones."""
    import math

    import numpy as np
    from scipy.stats import bootstrap

    if len(differences) < 2 or np.ptp(differences) == 0:
        return math.nan, math.nan
    found = bootstrap((np.asarray(differences),), np.mean, n_resamples=RESAMPLES, method='percentile', rng=0)
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def rank_correlation(x, y) -> tuple:
    """Spearman's coefficient with its bootstrap interval (95 %, percentile, pairs resampled)."""
    import warnings

    import numpy as np
    from scipy.stats import bootstrap, spearmanr

    rho = lambda a, b: spearmanr(a, b).statistic  # noqa: E731
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # resamples of equal values have no rank
        found = bootstrap(
            (np.asarray(x), np.asarray(y)), rho, paired=True, vectorized=False, n_resamples=1999,
            method='percentile', rng=0,
        )  # fmt: skip
        return float(rho(x, y)), float(found.confidence_interval.low), float(found.confidence_interval.high)


def factor_table(frame, metric: str) -> str:
    """Markdown: a row per value, of one factor and task."""
    shown = [name for name in (*METRICS.values(), *(c for c in frame if c.startswith('mIoU at '))) if name in frame]
    shown = [name for name in shown if frame[name].notna().any()]
    sizes = ['parameters', 'MMACs', 'MACs+ACs (M)']
    extra = [
        n for n in ('saturated', 'attention saturated') if n in frame and frame.factor.iloc[0] == 'attention_scale'
    ]
    fields = [f'{m} {s}' for s in ('1a', '1b', '2') for m in ('area_50', 'area_99') if f'{m} {s}' in frame]
    values = list(dict.fromkeys(frame.value))
    first = frame[frame.value == values[0]].set_index('seed')[metric]
    header = ['value', 'runs', *shown, f'{metric} - {values[0]}', *extra, *fields, *sizes]
    lines = ['| ' + ' | '.join(header) + ' |', '|' + '---|' * len(header)]
    for value in values:
        part = frame[frame.value == value]
        paired = (part.set_index('seed')[metric] - first).dropna()
        low, high = interval(paired)
        difference = '' if value == values[0] else f'{paired.mean():+.3f}'
        if difference and low == low:
            difference += f' [{low:+.3f}, {high:+.3f}]'
        spread = [
            f'{part[name].mean():.3f}' + (f' ± {part[name].std():.3f}' if len(part) > 1 else '')
            for name in (*shown, *extra)
        ]
        cells = [value, str(len(part)), *spread[: len(shown)], difference, *spread[len(shown) :]]
        cells += [f'{part[name].mean():.3f}' for name in fields]
        cells += [f'{part[name].mean():.0f}' if name == 'parameters' else f'{part[name].mean():.1f}' for name in sizes]
        lines.append('| ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines)


def draw(frame, metric: str, file: Path, title: str) -> None:
    """Draw the runs of a factor and task: metric by value, and against the early receptive field."""
    from matplotlib.figure import Figure

    colours = ('#0072B2', '#E69F00', '#009E73', '#D55E00', '#CC79A7', '#56B4E9', '#000000')  # Okabe and Ito
    markers = 'osD^vPX'
    figure = Figure(figsize=(9, 3.4), layout='constrained')
    left, right = figure.subplots(1, 2)
    values = list(dict.fromkeys(frame.value))
    for number, value in enumerate(values):
        part, style = frame[frame.value == value], {'color': colours[number % 7], 'marker': markers[number % 7]}
        left.plot([number] * len(part), part[metric], linestyle='none', alpha=0.7, **style)
        left.plot([number - 0.25, number + 0.25], [part[metric].mean()] * 2, color=style['color'])
        right.plot(part[f'area_50 {EARLY}'], part[metric], linestyle='none', label=value, **style)
    left.set_xticks(range(len(values)), values, rotation=20, ha='right', fontsize=8)
    left.set_ylabel(metric)
    right.set_xlabel(f'ERF of stage {EARLY}: area that holds 50 %')
    right.legend(fontsize=7)
    figure.suptitle(title, fontsize=10)
    figure.savefig(file, dpi=110)


def write_report(results: list, out: Path) -> list:
    """Write tables and figures; returns the files."""
    from tqdm import tqdm

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
        field = f'area_50 {EARLY}'
        known = part[[field, metric]].dropna()
        if len(known) >= 5 and known[field].nunique() > 1 and known[metric].nunique() > 1:
            rho, low, high = rank_correlation(known[field], known[metric])
            text.append(
                f'\nSpearman correlation of {field} and {metric} over {len(known)} runs: {rho:+.2f} '
                f'[{low:+.2f}, {high:+.2f}].'
            )
    files[0].write_text('\n'.join(text) + '\n')
    return files


@command_line('nothing was merged or written')
def main(argv=None) -> None:
    """Merge, then write tables and figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        'results', nargs='?', default='docs/study/results.jsonl', type=arguments.file_name,
        help='result lines (default docs/study/results.jsonl)',
    )  # fmt: skip
    parser.add_argument('--merge', nargs='+', default=[], metavar='FILE', help='result lines to add first')
    parser.add_argument('--out', type=arguments.file_name, help='folder of tables.md, that of RESULTS by default')
    args = parser.parse_args(argv)
    from study import append_results, read_results

    from mmsterf.errors import InvalidInput

    file, out = Path(args.results), Path(args.out or Path(args.results).parent)
    for name in args.merge:
        if not Path(name).is_file():
            raise InvalidInput(f'--merge {name}: no such file')
    present = {(r['run'], r['key']) for r in read_results(file)}
    new = {(r['run'], r['key']): r for name in args.merge for r in read_results(Path(name))}
    added = [result for key, result in new.items() if key not in present]
    if added:
        append_results(file, added)
    if args.merge:
        print(f'{file}: {len(added)} lines added, {len(present) + len(added)} in all')
    results = read_results(file)
    if not results:
        raise InvalidInput(f'RESULTS {file}: holds no result lines; run.py writes them, --merge adds them')
    for written in write_report(results, out):
        print(written)


if __name__ == '__main__':
    main()
