"""Bar chart of energy and firing rates; needs matplotlib."""

from collections.abc import Iterable

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from .energy import Cost, LayerCost, totals
from .firing import state_of

_SNN, _ANN, _WARN = '#0b5fa5', '#b9c4cf', '#b3261e'


def group_of(name: str) -> str:
    """The part of a network that a layer belongs to: ``backbone.stage3`` of ``backbone.stage3.0.attn.qkv``."""
    first, *rest = name.split('.')
    return '.'.join([first, *rest[:1]]) if first in ('backbone', 'neck', 'rpn_head', 'roi_head') else first


def energy_figure(layers: Iterable[LayerCost], cost: Cost, images: int, title: str = '', note: str = '') -> Figure:
    """Energy per image by part of the network, beside that of the equal ANN, and firing rates of what layers read.

    Args:
        layers: What was counted.
        cost: Energy per operation.
        images: How many were counted.
        title: Heading.
        note: Warning under it.
    """
    groups: dict = {}
    for layer in layers:
        groups.setdefault(group_of(layer.name), {})[layer.name] = layer
    sums = {name: totals(members) for name, members in groups.items()}
    fig = Figure(figsize=(11, 1.6 + 0.42 * len(groups)), layout='constrained', facecolor='white')
    FigureCanvasAgg(fig)
    left, right = fig.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    rows = list(range(len(groups)))
    for offset, label, colour, energies in (
        (-0.2, 'spiking', _SNN, [s.energy(cost) for s in sums.values()]),
        (0.2, 'equal ANN', _ANN, [s.ann_energy(cost) for s in sums.values()]),
    ):
        micro = [energy / images * 1e-6 for energy in energies]
        bars = left.barh([row + offset for row in rows], micro, 0.38, label=label, color=colour)
        left.bar_label(bars, [f'{value:.3g}' for value in micro], fontsize=7, padding=2)
    left.set(xscale='log', xlabel='energy per image (µJ, logarithmic)', yticks=rows)
    left.margins(x=0.12)
    left.set_yticklabels(list(groups), fontsize=8)
    left.legend(frameon=False, fontsize=8, ncols=2, loc='lower center', bbox_to_anchor=(0.5, 1.0))
    for row, members in zip(rows, groups.values()):
        rates = [layer.rate for layer in members.values() if layer.slots]
        colours = [_WARN if state_of(rate) else _SNN for rate in rates]
        right.scatter([100 * rate for rate in rates], [row] * len(rates), s=14, c=colours, alpha=0.7, linewidths=0)
        if not rates:
            right.text(1, row, 'analog input', fontsize=7, color='#777777', va='center')
    right.set(xlabel='firing rate of what each layer reads (%; red: dead or saturated)', xlim=(-3, 103))
    left.invert_yaxis()
    for ax in (left, right):
        ax.grid(axis='x', alpha=0.25)
        ax.set_axisbelow(True)
        for side in ('top', 'right'):
            ax.spines[side].set_visible(False)
    fig.suptitle(title + (f'\n{note}' if note else ''), fontsize=11, color=_WARN if note else '#222222')
    return fig
