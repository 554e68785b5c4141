"""Figures of effective receptive fields; needs matplotlib.

Figures are `matplotlib.figure.Figure` objects made without pyplot: no window, no global state.
"""

import math
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Optional, Union

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter

from .core import STERF
from .files import replace_file
from .metrics import centred_box, fit_gaussian, gaussian, measure, profiles, temporal_decay

DECADES = 5
"""Range of the logarithmic colour scale, in powers of ten below the maximum."""

_INK, _GREY, _WARN = '#222222', '#777777', '#b3261e'
_CYCLE = ('#0b5fa5', '#d1495b', '#2e8b57', '#b8860b', '#6a4c93', '#00868b', '#8c564b', '#444444')


def _cmap():
    # exactly zero is a grey that the scale does not have
    return colormaps['inferno'].with_extremes(bad='#4a4f5c')


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
    if scale == 'log':
        shown = np.log10(relative, out=np.full(a.shape, np.nan), where=relative > 0)
        image = ax.imshow(shown, cmap=_cmap(), vmin=-DECADES, vmax=0, interpolation='nearest')
    else:
        image = ax.imshow(
            np.where(relative > 0, relative, np.nan), cmap=_cmap(), vmin=0, vmax=1, interpolation='nearest'
        )
    ax.set(xticks=[], yticks=[])
    for side in ax.spines.values():
        side.set_visible(False)
    if not a.any():
        ax.text(0.5, 0.5, empty, transform=ax.transAxes, color='white', ha='center', va='center', fontsize=11)
    bar = scale_bar(w)
    x, y = 0.04 * w, 0.95 * h
    edge = [withStroke(linewidth=1.5, foreground='black')]  # to be read on bright maps
    frame = [withStroke(linewidth=3.5, foreground='black')]
    ax.plot([x, x + bar], [y, y], color='white', lw=2.5, solid_capstyle='butt', path_effects=frame)
    where = {'ha': 'center', 'va': 'bottom', 'fontsize': 7}
    ax.text(x + bar / 2, y - 0.025 * h, f'{bar} px', color='white', path_effects=edge, **where)
    if centre:
        ax.plot(centre[1], centre[0], '+', color='#4dd0e1', ms=6, mew=0.8)
    ax.set(xlim=(-0.5, w - 0.5), ylim=(h - 0.5, -0.5))
    return image


def _shown(result: STERF) -> tuple[np.ndarray, str]:
    """Map (D, H, W) to draw, and what to write if it is empty: nothing of a map that cancels is shown."""
    if result.cancels:
        return np.zeros_like(result.mean), 'cancels:\nrounding error'
    return result.mean, 'empty'


def colour_bar(fig, image, axes, scale: str, label: str = 'contribution /\nmaximum (grey: 0)') -> None:
    """Add the colour bar of `draw_map`."""
    bar = fig.colorbar(image, ax=axes, shrink=0.9, aspect=28, pad=0.015)
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=7, color=_GREY)
    if scale == 'log':
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda v, _: f'$10^{{{v:.0f}}}$' if v else '1'))
    bar.set_label(label, fontsize=8)


def new_figure(width: float, height: float, title: str, note: str) -> Figure:
    """Return a figure of a size in inches, made higher by its heading and a warning under it."""
    height += 0.75 if note else 0.45
    fig = Figure(figsize=(width, height), layout='constrained', facecolor='white')
    FigureCanvasAgg(fig)
    fig.suptitle(title, fontsize=12, fontweight='bold', color=_INK, x=0.5, y=1 - 0.09 / height, va='top')
    if note:
        fig.text(0.5, 1 - 0.36 / height, note, color=_WARN, fontsize=9, ha='center', va='top')
    fig.get_layout_engine().set(rect=(0.005, 0.005, 0.99, 1 - (0.72 if note else 0.42) / height))
    return fig


def _percent(value: float) -> str:
    return 'n/a' if math.isnan(value) else f'{100 * value:.1f} %' if value >= 0.001 else f'{100 * value:.2g} %'


def layer_figure(result: STERF, title: str = '', note: str = '') -> Figure:
    """Spatial ERF of one layer on linear and logarithmic colour scale, with the squares that hold 50 % and 99 %."""
    (mean, empty), numbers = _shown(result), measure(result)
    a = mean.mean(0)
    ratio = min(max(a.shape[0] / a.shape[1], 0.4), 2.0)
    fig = new_figure(9.4, 4.1 * ratio + 0.4, title or result.layer, note)
    axes = fig.subplots(1, 2)
    for ax, scale in zip(axes, ('linear', 'log')):
        image = draw_map(ax, a, scale, result.centre, empty=empty)
        for share, style in ((0.5, '-'), (0.99, '--')):
            side, _ = centred_box(a, share, result.centre)
            if side:
                corner = result.centre[1] - side / 2, result.centre[0] - side / 2
                ax.add_patch(Rectangle(corner, side, side, fill=False, ec='#4dd0e1', ls=style, lw=1, clip_on=True))
        ax.set_title(scale, fontsize=9, color=_GREY)
        colour_bar(fig, image, ax, scale)
    fig.supxlabel(
        f'squares hold 50 % (solid, {_percent(numbers["area_50"])} of the image) and 99 % (dashed, '
        f'{_percent(numbers["area_99"])});  non-zero {_percent(numbers["nonzero"])};  '
        f'radius {numbers["radius"]:.1f} px;  {result.num} input{"s" * (result.num > 1)}',
        fontsize=8.5,
        color=_INK,
    )
    return fig


def overview_figure(
    models: Mapping[str, Mapping[str, STERF]], scale: str = 'log', title: str = '', note: str = ''
) -> Figure:
    """Spatial ERFs, one row per model and one column per layer, each relative to its own maximum.

    Args:
        models: Results by layer, by model. Rows may differ in length; layers are aligned by order.
        scale: 'log', 'linear', or 'both' for two rows per model.
        title: Heading.
        note: Warning under it.
    """
    rows = [(m, s) for m in models for s in (('linear', 'log') if scale == 'both' else (scale,))]
    columns = max(len(r) for r in models.values())
    shape = next(iter(next(iter(models.values())).values())).mean.shape
    ratio = min(max(shape[1] / shape[2], 0.4), 2.0)
    cell = 2.3 if columns > 3 else 3.0
    fig = new_figure(columns * cell + 1.2, len(rows) * (cell * ratio + 0.3), title, note)
    axes = fig.subplots(len(rows), columns, squeeze=False)
    for i, (model, kind) in enumerate(rows):
        image = None
        for j, ax in enumerate(axes[i]):
            result = list(models[model].values())[j] if j < len(models[model]) else None
            if result is None:
                ax.axis('off')
                continue
            mean, empty = _shown(result)
            a = mean.mean(0)
            image = draw_map(ax, a, kind, result.centre, empty=empty)
            above = list(models[rows[i - 1][0]])[j : j + 1] if i else []
            if above != [result.layer]:
                ax.set_title(result.layer, fontsize=9, color=_INK)
            area = centred_box(a, 0.99, result.centre)[1]
            support = math.nan if result.cancels else (a > 0).mean()
            ax.set_xlabel(f'99 %: {_percent(area)}   ≠ 0: {_percent(support)}', fontsize=7.5, color=_GREY)
        label = kind if len(models) == 1 else model + (f' ({kind})' if scale == 'both' else '')
        axes[i][0].set_ylabel(label, fontsize=9.5, color=_INK)
        colour_bar(fig, image, axes[i].tolist(), kind)
    return fig


def delay_figure(results: Mapping[str, STERF], scale: str = 'log', title: str = '', note: str = '') -> Figure:
    """ST-ERF as a strip: one row per layer, one column per delay; a row shares its colour scale."""
    delays = max(len(r.mean) for r in results.values())
    h, w = next(iter(results.values())).mean.shape[1:]
    ratio = min(max(h / w, 0.4), 2.0)
    fig = new_figure(delays * 2.2 + 1.2, len(results) * (2.2 * ratio + 0.25), title, note)
    axes = fig.subplots(len(results), delays, squeeze=False)
    for i, (row, result) in enumerate(zip(axes, results.values())):
        image, (mean, empty) = None, _shown(result)
        for d, ax in enumerate(row):
            if d >= len(result.mean):
                ax.axis('off')
                continue
            image = draw_map(ax, mean[d], scale, result.centre, mean.max(), empty)
            if i == 0:
                ax.set_title(f'delay {d}', fontsize=9, color=_INK)
        row[0].set_ylabel(textwrap.fill(result.layer, 28), fontsize=9, color=_INK)
        colour_bar(fig, image, row.tolist(), scale)
    return fig


def _bare(ax: Axes) -> None:
    for side in ('top', 'right'):
        ax.spines[side].set_visible(False)
    ax.tick_params(labelsize=7, color=_GREY)


def profile_figure(results: Mapping[str, STERF], title: str = '', note: str = '') -> Figure:
    """Horizontal and vertical profile (A summed over the other axis) of every layer, with their Gaussian fits."""
    fig = new_figure(max(len(results) * 2.5, 4.5) + 0.3, 4.2, title, note)
    axes = fig.subplots(2, len(results), squeeze=False)
    for j, result in enumerate(results.values()):
        vertical, horizontal = profiles(_shown(result)[0].mean(0))
        for ax, profile, centre, axis in (
            (axes[0, j], horizontal, result.centre[1], 'column'),
            (axes[1, j], vertical, result.centre[0], 'row'),
        ):
            fit, x = fit_gaussian(profile), np.arange(len(profile))
            top = profile.max() or 1
            ax.fill_between(x, profile / top, color=_CYCLE[0], alpha=0.25, lw=0)
            ax.plot(x, profile / top, color=_CYCLE[0], lw=1.1, label='profile')
            if not math.isnan(fit['sigma']):
                dense = np.linspace(0, len(profile) - 1, 600)
                curve = gaussian(dense, fit['amplitude'] / top, fit['mean'], max(fit['sigma'], 1e-9))
                ax.plot(dense, curve, color=_CYCLE[1], lw=1.4, ls='--', label='Gaussian fit')
                r2 = 'n/a' if math.isnan(fit['r2']) else f'{fit["r2"]:.2f}'
                ax.set_title(f'σ = {fit["sigma"]:.1f} px,  $R^2$ = {r2}', fontsize=8, color=_GREY, loc='left')
            ax.axvline(centre, color=_GREY, lw=0.6, ls=':')
            ax.set(xlim=(0, len(profile) - 1), ylim=(0, 1.12), xlabel=f'{axis} (px)')
            ax.xaxis.label.set_size(8)
            _bare(ax)
        axes[0, j].annotate(
            result.layer,
            (0.5, 1.17),
            xycoords='axes fraction',
            ha='center',
            fontsize=9.5,
            color=_INK,
            annotation_clip=False,
        )
    axes[0, 0].set_ylabel('horizontal', fontsize=9)
    axes[1, 0].set_ylabel('vertical', fontsize=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, fontsize=8, frameon=False, loc='upper right', ncols=2)
    return fig


def temporal_figure(results: Mapping[str, STERF], title: str = '', note: str = '') -> Figure:
    """Temporal ERF (summed over space, relative to its sum) over the delay, with exponential fits."""
    fig = new_figure(6.2, 3.6, title, note)
    ax, fitted = fig.subplots(), ''
    for i, result in enumerate(results.values()):
        curve, colour = _shown(result)[0].sum((1, 2)), _CYCLE[i % len(_CYCLE)]
        share, fit = curve / (curve.sum() or 1), temporal_decay(curve)
        life = fit['half_life']
        text = 'n/a' if math.isnan(life) else '∞' if math.isinf(life) else f'{life:.2f} steps'
        ax.plot(share, 'o-', color=colour, lw=1.5, ms=4, label=f'{result.layer}  (half-life {text})')
        if math.isfinite(life) and life > 0:
            dense = np.linspace(0, len(share) - 1, 200)
            start = (share**2 @ (share * np.exp(np.arange(len(share)) / fit['decay_constant']))) / (share**2).sum()
            ax.plot(dense, start * np.exp(-dense / fit['decay_constant']), color=colour, lw=0.9, ls='--', alpha=0.7)
            fitted = '; dashed: exponential fit'
    ax.set(xlabel=f'delay (time steps{fitted})', ylabel='share of the gradient', ylim=(0, None))
    ax.set_xticks(range(max(len(r.mean) for r in results.values())))
    ax.legend(fontsize=8, frameon=False)
    _bare(ax)
    return fig


def save(fig: Figure, stem: Union[str, Path]) -> list[Path]:
    """Write ``stem.png`` (150 dpi) and ``stem.pdf``; return the paths."""
    return [
        replace_file(f'{stem}{end}', lambda part, end=end: fig.savefig(part, dpi=150, format=end[1:]))
        for end in ('.png', '.pdf')
    ]


def to_array(fig: Figure, dpi: int = 100) -> np.ndarray:
    """Return the figure as an RGB image (H, W, 3), uint8."""
    fig.set_dpi(dpi)
    fig.canvas.draw()
    return np.asarray(fig.canvas.buffer_rgba())[..., :3].copy()
