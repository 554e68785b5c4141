"""Figures of a study."""

from pathlib import Path

from matplotlib.figure import Figure

EARLY = '1b'
"""Stage whose receptive field is compared with accuracy: the last one in front of stage 2."""
COLOURS = ('#0072B2', '#E69F00', '#009E73', '#D55E00', '#CC79A7', '#56B4E9', '#000000')  # Okabe and Ito
MARKERS = 'osD^vPX'


def draw(frame, metric: str, file: Path, title: str) -> None:
    """Draw the runs of a factor and task: metric by value, and against the early receptive field."""
    figure = Figure(figsize=(9, 3.4), layout='constrained')
    left, right = figure.subplots(1, 2)
    values = list(dict.fromkeys(frame.value))
    for number, value in enumerate(values):
        part, style = frame[frame.value == value], {'color': COLOURS[number % 7], 'marker': MARKERS[number % 7]}
        left.plot([number] * len(part), part[metric], linestyle='none', alpha=0.7, **style)
        left.plot([number - 0.25, number + 0.25], [part[metric].mean()] * 2, color=style['color'])
        right.plot(part[f'area_50 {EARLY}'], part[metric], linestyle='none', label=value, **style)
    left.set_xticks(range(len(values)), values, rotation=20, ha='right', fontsize=8)
    left.set_ylabel(metric)
    right.set_xlabel(f'ERF of stage {EARLY}: area that holds 50 %')
    right.locator_params(axis='x', nbins=5)
    right.legend(fontsize=7)
    figure.suptitle(title, fontsize=10)
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
            color=COLOURS[number % 7], marker=MARKERS[number % 7],
            label=None if result['seed'] else result['value'],
        )  # fmt: skip
    axes.set_xlabel('iteration')
    axes.set_ylabel('saturated outputs of attention')
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=8)
    figure.suptitle(title, fontsize=10)
    figure.savefig(file, dpi=110)
