"""Parts of figures: maps with scale bars, colour bars, headings, and layers in words; needs matplotlib."""

import math
import re
import textwrap
from collections.abc import Iterator
from typing import Optional

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter

from mmsterf.palette import GREY, INK, MAPS, MARK, WARN, ZERO

from .core import STERF

DECADES = 5
"""Range of the logarithmic colour scale, in powers of ten below the maximum."""
WIDTH = 9.4
"""Of figures, in inches: text of `SMALL` points is 10 pixels high where a page shows them 850 pixels wide."""
SMALL = 8
COLUMNS = 5
"""Maps side by side; more go into further rows."""
_BAR = 'contribution / maximum (grey: 0)'
_PLURALS = ('stages', 'layers', 'blocks', 'levels', 'groups', 'heads', 'convs', 'necks')
_PER_INCH = 13
"""Characters of 9 points in an inch."""


def words_of(layer: str) -> str:
    """A layer's name in words, counted from 1: ``stage 3, block 6`` of ``0.stages.2.blocks.5``.

    A leading index, which is a place in a container, is left out; ``backbone:2`` is ``backbone, map 3``. What
    has spaces is in words already.
    """
    if ' ' in layer:
        return layer
    path, _, output = layer.partition(':')
    words: list[str] = []
    for part in path.split('.'):
        numbered = re.fullmatch(r'(\D*?)_?(\d+[a-z]?)', part)
        if not part.isdecimal():
            words.append((' '.join(numbered.groups()) if numbered else part.replace('_', ' ')).strip())
        elif words and words[-1] in _PLURALS:
            words[-1] = f'{words[-1][:-1]} {int(part) + 1}'
        elif words and words[-1].startswith('block '):
            words[-1] += f'.{int(part) + 1}'
        elif words and re.search(r'\d', words[-1]):
            words.append(f'block {int(part) + 1}')
        elif words:
            words[-1] += f' {int(part) + 1}'
    if output.isdecimal():
        words.append(f'map {int(output) + 1}')
    return ', '.join(words) or layer


def same_name(layer: str) -> bool:
    """Whether the words say no more and no less than the name."""
    return words_of(layer).replace(' ', '') == layer.replace('_', '')


def chunks(items: list, size: int = COLUMNS) -> Iterator[list]:
    """Parts of a list that fit side by side, of about equal length."""
    number = math.ceil(len(items) / size)
    step = math.ceil(len(items) / number)
    return (items[i : i + step] for i in range(0, len(items), step))


def scale_bar(width: int) -> int:
    """Return a round length (1, 2 or 5 times a power of ten) of about a quarter of `width`."""
    power = 10 ** math.floor(math.log10(max(width / 4, 1)))
    return int(max(m * power for m in (1, 2, 5) if m * power <= max(width / 4, 1)))


def draw_map(ax: Axes, a: np.ndarray, scale: str = 'linear', centre: Optional[tuple] = None, top: float = 0.0,
             empty: str = 'empty'):  # fmt: skip
    """Draw one map (H, W) relative to its maximum (or `top`), with a scale bar; return the image for a colour bar.

    Args:
        ax: Where.
        a: Contributions.
        scale: 'linear', or 'log' for the powers of ten below the maximum.
        centre: (row, column) to mark.
        top: Value that is white; default the maximum.
        empty: What to write into a map without contributions.
    """
    if scale not in ('linear', 'log'):
        raise ValueError(f"scale must be 'linear' or 'log', got {scale!r}")
    h, w = a.shape
    relative = a / (top or a.max() or 1)
    cmap = colormaps[MAPS].with_extremes(bad=ZERO)
    if scale == 'log':
        shown = np.log10(relative, out=np.full(a.shape, np.nan), where=relative > 0)
        image = ax.imshow(shown, cmap=cmap, vmin=-DECADES, vmax=0, interpolation='nearest')
    else:
        image = ax.imshow(np.where(relative > 0, relative, np.nan), cmap=cmap, vmin=0, vmax=1, interpolation='nearest')
    ax.set(xticks=[], yticks=[])
    for side in ax.spines.values():
        side.set_visible(False)
    if not a.any():
        ax.text(0.5, 0.6, empty, transform=ax.transAxes, color='white', ha='center', va='center', fontsize=11)
    bar = scale_bar(w)
    x, y = 0.04 * w, 0.95 * h
    edge = {'path_effects': [withStroke(linewidth=1.5, foreground='black')]}  # also seen where the map is bright
    ax.plot(
        [x, x + bar],
        [y, y],
        color='white',
        lw=2.5,
        solid_capstyle='butt',
        path_effects=[withStroke(linewidth=3.5, foreground='black')],
    )
    ax.text(x, y - 0.025 * h, f'{bar} px', color='white', ha='left', va='bottom', fontsize=SMALL, **edge)
    if centre:
        ax.plot(centre[1], centre[0], '+', color=MARK, ms=6, mew=0.8, **edge)
    ax.set(xlim=(-0.5, w - 0.5), ylim=(h - 0.5, -0.5))
    return image


def shown(result: STERF) -> tuple[np.ndarray, str]:
    """Map (D, H, W) to draw, and what to write if it is empty: nothing of a map that cancels is shown."""
    if result.cancels:
        return np.zeros_like(result.mean), 'cancels:\nrounding error'
    return result.mean, 'empty'


def colour_bar(fig, image, axes, scale: str, label: str = _BAR) -> None:
    """Add the colour bar of `draw_map` below axes, which may be many, where its label has room."""
    axes = np.atleast_1d(axes).ravel().tolist()
    pad = 0.1 / fig.bbox.transformed(fig.dpi_scale_trans.inverted()).height  # it is a share of the axes' height
    shrink = 0.9 if len(axes) == 1 else 0.45
    bar = fig.colorbar(image, ax=axes, location='bottom', aspect=32, shrink=shrink, pad=pad)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL, color=GREY)
    if scale == 'log':
        bar.ax.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f'$10^{{{v:.0f}}}$' if v else '1'))
    bar.set_label(label, fontsize=SMALL)


def new_figure(width: float, height: float, title: str, note: str) -> Figure:
    """Return a figure of a size in inches, made higher by its heading and a warning under it."""
    note = textwrap.fill(note, int(width * _PER_INCH))
    above = 0.42 + (0.3 + 0.16 * note.count('\n') if note else 0)
    height += above + 0.03
    fig = Figure(figsize=(width, height), layout='constrained', facecolor='white')
    FigureCanvasAgg(fig)
    fig.suptitle(title, fontsize=12, fontweight='bold', color=INK, x=0.5, y=1 - 0.09 / height, va='top')
    if note:
        fig.text(0.5, 1 - 0.36 / height, note, color=WARN, fontsize=9, ha='center', va='top')
    fig.get_layout_engine().set(rect=(0.005, 0.005, 0.99, 1 - above / height), h_pad=0.07)
    return fig


def _lines(text: str, length: float) -> str:
    """Text in lines of `length` inches, broken behind commas where there are any, and behind underscores."""
    kept = text.replace(' ', '\N{NO-BREAK SPACE}').replace(',\N{NO-BREAK SPACE}', ', ') if ', ' in text else text
    filled = textwrap.fill(kept.replace('_', '_ '), max(8, int(_PER_INCH * length))).replace('_ ', '_')
    return filled.replace('\N{NO-BREAK SPACE}', ' ')


def write_title(ax: Axes, layer: str, width: float) -> None:
    """Put a layer above its map, in words and in as many lines as a map of `width` inches needs."""
    ax.set_title(_lines(words_of(layer), width), fontsize=9.5, color=INK)


def write_row_label(ax: Axes, label: str, height: float) -> None:
    """Put a label beside a row of `height` inches, in as many lines as that needs."""
    ax.set_ylabel(_lines(label, height), fontsize=9, color=INK)


def percent(value: float) -> str:
    """A share, short: two digits, and no more than was rounded away."""
    if math.isnan(value):
        return 'n/a'
    if 0.99 < value < 1:
        return f'{math.floor(1000 * value) / 10:.1f} %'
    return f'{100 * value:.0f} %' if value >= 0.0995 else f'{100 * value:.2g} %'
