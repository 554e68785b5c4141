"""Bar chart of energy and firing rates; needs matplotlib."""

from collections.abc import Iterable

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmsterf.palette import GREY, INK, LINES, PALE, WARN

from .energy import Cost, LayerCost, totals
from .firing import state_of

_SNN = LINES[0]


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
    fig = Figure(figsize=(9.6, 1.6 + 0.42 * len(groups)), layout='constrained', facecolor='white')
    FigureCanvasAgg(fig)
    left, right = fig.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    rows = list(range(len(groups)))
    left.set_xscale('log')
    for offset, label, colour, energies in (
        (-0.2, 'spiking', _SNN, [s.energy(cost) for s in sums.values()]),
        (0.2, 'equal ANN', PALE, [s.ann_energy(cost) for s in sums.values()]),
    ):
        micro = [energy / images * 1e-6 for energy in energies]
        left.barh([row + offset for row in rows], micro, 0.38, label=label, color=colour)
        for row, value in zip(rows, micro):
            # Nothing has no place on a logarithmic axis: its label goes to the edge.
            x, transform = (value, left.transData) if value else (0, left.get_yaxis_transform())
            text = f' {value:,.0f}' if value >= 100 else f' {value:.3g}'
            left.text(x, row + offset, text, fontsize=8, va='center', transform=transform)
    left.set(xlabel='energy per image (µJ, logarithmic)', yticks=rows)
    left.margins(x=0.12, y=0.01)
    left.set_yticklabels(list(groups), fontsize=8)
    left.legend(frameon=False, fontsize=8, ncols=2, loc='lower center', bbox_to_anchor=(0.5, 1.0))
    for row, members in zip(rows, groups.values()):
        rates = [layer.rate for layer in members.values() if layer.slots]
        for rate in sorted(rates, key=lambda rate: bool(state_of(rate))):  # crosses on top
            look = {'c': WARN, 's': 34, 'marker': 'X'} if state_of(rate) else {'c': _SNN, 's': 16}
            right.scatter(100 * rate, row, alpha=0.7, linewidths=0, **look)
        if not rates:
            right.text(1, row, 'analog input', fontsize=8, color=GREY, va='center')
    right.set(xlabel='firing rate (%) of what each layer reads\nred cross: dead or saturated', xlim=(-3, 103))
    left.invert_yaxis()
    for ax in (left, right):
        ax.grid(axis='x', alpha=0.25)
        ax.set_axisbelow(True)
        for side in ('top', 'right'):
            ax.spines[side].set_visible(False)
    fig.suptitle(title, fontsize=11, color=INK)
    if note:
        fig.supxlabel(note, fontsize=9, color=WARN)
    return fig
