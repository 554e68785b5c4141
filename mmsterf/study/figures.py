"""Figures of a study."""

from pathlib import Path

from matplotlib.figure import Figure

from mmsterf.palette import LINES, MARKERS

EARLY = '1b'
"""Stage whose receptive field is compared with accuracy: the last one in front of stage 2."""


def _style(number: int) -> dict:
    """Colour and marker of a value by its number; both repeat after seven."""
    return {'color': LINES[number % len(LINES)], 'marker': MARKERS[number % len(MARKERS)]}


def _words(name: str) -> str:
    return str(name).replace('_', ' ')


def draw(frame, metric: str, file: Path, title: str) -> None:
    """Draw the runs of a factor and task: metric by value, and against the early receptive field."""
    figure = Figure(figsize=(9, 3.4), layout='constrained')
    left, right = figure.subplots(1, 2, sharey=True)
    values = list(dict.fromkeys(frame.value))
    for number, value in enumerate(values):
        part, style = frame[frame.value == value], _style(number)
        left.plot([number] * len(part), part[metric], linestyle='none', alpha=0.7, **style)
        left.plot([number - 0.25, number + 0.25], [part[metric].mean()] * 2, color=style['color'])
        right.plot(part[f'area_50 {EARLY}'], part[metric], linestyle='none', label=_words(value), **style)
    left.set_xticks(range(len(values)), [_words(value) for value in values], rotation=20, ha='right')
    left.set_ylabel(metric)
    right.set_xlabel(f'ERF of stage {EARLY}: area that holds 50 %')
    right.locator_params(axis='x', nbins=5)
    right.legend(fontsize=9)
    figure.suptitle(_words(title), fontsize=11)
    figure.savefig(file, dpi=110)


def draw_training(results: list, file: Path, title: str) -> None:
    """Draw the share of saturated outputs of attention over training, a line per run."""
    figure = Figure(figsize=(6, 3.4), layout='constrained')
    axes = figure.subplots()
    values = list(dict.fromkeys(results[0].get('values') or sorted({r['value'] for r in results})))
    for result in results:
        points = [p for p in result['training'] if 'attention_saturated' in p]
        number = values.index(result['value'])
        axes.plot(
            [p['iter'] for p in points], [p['attention_saturated'] for p in points], alpha=0.8,
            **_style(number), label=None if result['seed'] else _words(result['value']),
        )  # fmt: skip
    axes.set_xlabel('iteration')
    axes.set_ylabel('saturated outputs of attention')
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=9)
    figure.suptitle(_words(title), fontsize=11)
    figure.savefig(file, dpi=110)


def draw_temporal(results: list, file: Path, title: str) -> None:
    """Draw the temporal ERF of each stage, mean over the runs of a value, a panel for each value side by side."""
    values = list(dict.fromkeys(results[0].get('values') or sorted({r['value'] for r in results})))
    values = [value for value in values if any(r['value'] == value for r in results)]
    figure = Figure(figsize=(3 * len(values) + 1.2, 3.4), layout='constrained')
    panels = figure.subplots(1, len(values), sharey=True, squeeze=False)[0]
    for panel, value in zip(panels, values):
        runs = [r.get('temporal') or {stage: [1.0] for stage in r['erf']} for r in results if r['value'] == value]
        for number, stage in enumerate(runs[0]):
            curves = [run[stage] for run in runs]
            mean = [sum(shares) / len(shares) for shares in zip(*curves)]
            style = _style(number)
            panel.plot(range(len(mean)), mean, label=f'stage {stage}', **style)
            for curve in curves:
                panel.plot(range(len(curve)), curve, color=style['color'], alpha=0.3, lw=0.8)
        panel.set_title(f'{_words(value)} ({len(runs)} run{"s" * (len(runs) > 1)})', fontsize=9)
        panel.set_xlabel('delay, time steps')
        panel.set_xlim(
            -0.2, max(len(curve) for r in results for curve in (r.get('temporal') or {'': [1]}).values()) - 0.8
        )
        panel.xaxis.get_major_locator().set_params(integer=True)
    panels[0].set_ylabel('share of the gradient')
    panels[0].set_ylim(bottom=0)
    panels[-1].legend(fontsize=9)
    figure.suptitle(_words(title), fontsize=11)
    figure.savefig(file, dpi=110)
