"""Figures of effective receptive fields; needs matplotlib.

Figures are `matplotlib.figure.Figure` objects made without pyplot: no window, no global state.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Union

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mmsterf.palette import GREY, INK, LINES, MARK, MARKERS

from .core import STERF
from .files import replace_file
from .metrics import centred_box, fit_gaussian, gaussian, measure, profiles, temporal_decay
from .panels import (
    SMALL,
    WIDTH,
    chunks,
    colour_bar,
    draw_map,
    new_figure,
    percent,
    same_name,
    shown,
    words_of,
    write_row_label,
    write_title,
)


def _ratio(result: STERF) -> float:
    """Height of a map by its width; maps that are far from square are drawn in a row of at least this height."""
    h, w = result.mean.shape[1:]
    return min(max(h / w, 0.4), 2.0)


def layer_figure(result: STERF, title: str = '', note: str = '') -> Figure:
    """Spatial ERF of one layer on linear and logarithmic colour scale, with the squares that hold 50 % and 99 %."""
    (mean, empty), numbers = shown(result), measure(result)
    a = mean.mean(0)
    fig = new_figure(WIDTH, 4.3 * _ratio(result) + 1.2, title or words_of(result.layer), note)
    axes = fig.subplots(1, 2)
    for ax, scale in zip(axes, ('linear', 'log')):
        image = draw_map(ax, a, scale, result.centre, empty=empty)
        for share, style in ((0.5, '-'), (0.99, '--')):
            side, _ = centred_box(a, share, result.centre)
            if side:
                corner = result.centre[1] - side / 2, result.centre[0] - side / 2
                ax.add_patch(Rectangle(corner, side, side, fill=False, ec=MARK, ls=style, lw=1, clip_on=True))
        ax.set_title(scale, fontsize=9, color=GREY)
        colour_bar(fig, image, ax, scale)
    fig.supxlabel(
        ('' if same_name(result.layer) else f'{result.layer}\n')
        + f'squares hold 50 % (solid, {percent(numbers["area_50"])} of the image) and 99 % (dashed, '
        f'{percent(numbers["area_99"])});  non-zero {percent(numbers["nonzero"])};  '
        f'radius {numbers["radius"]:.1f} px;  {result.num} input{"s" * (result.num > 1)}',
        fontsize=8.5,
        color=INK,
    )
    return fig


def overview_figure(
    models: Mapping[str, Mapping[str, STERF]], scale: str = 'log', title: str = '', note: str = ''
) -> Figure:
    """Spatial ERFs, a row for each model and a column for each layer, all on one scale relative to their own maxima.

    Args:
        models: Results by layer, by model. Rows may differ in length; layers are aligned by order. More than fit side
            by side go into further rows.
        scale: 'log', 'linear', or 'both' for two rows per model.
        title: Heading.
        note: Warning under it.
    """
    kinds = ('linear', 'log') if scale == 'both' else (scale,)
    rows = [(m, s, part) for m in models for part in chunks(list(models[m].values())) for s in kinds]
    columns = max(len(part) for *_, part in rows)
    ratio = _ratio(rows[0][2][0])
    cell = (WIDTH - 0.5) / max(columns, 2)
    heads = [i for i, (*_, part) in enumerate(rows) if not i or _names(part) != _names(rows[i - 1][2])]
    names = sum(any(not same_name(r.layer) for r in part) for *_, part in rows)
    height = len(rows) * (cell * ratio + 0.3) + 0.45 * len(heads) + 0.14 * names + 0.5 * len(kinds) + 0.25
    fig = new_figure(WIDTH if columns > 1 else 0.6 * WIDTH, height, title, note)
    axes = fig.subplots(len(rows), columns, squeeze=False)
    images = {}
    for i, (model, kind, part) in enumerate(rows):
        for ax, result in zip(axes[i], part):
            mean, empty = shown(result)
            a = mean.mean(0)
            images[kind] = draw_map(ax, a, kind, result.centre, empty=empty)
            if i in heads:
                write_title(ax, result.layer, cell)
            area = centred_box(a, 0.99, result.centre)[1]
            support = math.nan if result.cancels else (a > 0).mean()
            named = '' if same_name(result.layer) else f'{result.layer}\n'
            ax.set_xlabel(f'{named}99 %: {percent(area)}   ≠ 0: {percent(support)}', fontsize=SMALL, color=GREY)
        for ax in axes[i][len(part) :]:
            ax.axis('off')
        label = kind if len(models) == 1 else model + (f' ({kind})' if scale == 'both' else '')
        write_row_label(axes[i][0], label, cell * ratio)
    for kind, image in reversed(images.items()):  # each goes above those before it
        colour_bar(fig, image, axes, kind, 'contribution / maximum of the map (grey: 0)')
    fig.supxlabel(
        '99 %: square that holds 99 % of the gradient;  ≠ 0: pixels that have any; both of the image',
        fontsize=SMALL,
        color=GREY,
    )
    return fig


def _names(part: list) -> list[str]:
    return [result.layer for result in part]


def delay_figure(results: Mapping[str, STERF], scale: str = 'log', title: str = '', note: str = '') -> Figure:
    """ST-ERF as a strip: one row per layer, one column per delay; a row shares its colour scale."""
    delays = max(len(r.mean) for r in results.values())
    ratio, cell = _ratio(next(iter(results.values()))), (WIDTH - 0.5) / max(delays, 3)
    cell = max(cell, 1.1)
    fig = new_figure(delays * cell + 0.6, len(results) * (cell * ratio + 0.15) + 0.75, title, note)
    axes = fig.subplots(len(results), delays, squeeze=False)
    for i, (row, result) in enumerate(zip(axes, results.values())):
        mean, empty = shown(result)
        for d, ax in enumerate(row):
            if d >= len(result.mean):
                ax.axis('off')
                continue
            image = draw_map(ax, mean[d], scale, result.centre, mean.max(), empty)
            if i == 0:
                ax.set_title(f'delay {d}', fontsize=9.5, color=INK)
        write_row_label(row[0], words_of(result.layer), cell * ratio)
    colour_bar(fig, image, axes, scale, 'contribution / maximum of the row (grey: 0)')
    return fig


def _bare(ax: Axes) -> None:
    for side in ('top', 'right'):
        ax.spines[side].set_visible(False)
    ax.tick_params(labelsize=SMALL, color=GREY)


def profile_figure(results: Mapping[str, STERF], title: str = '', note: str = '') -> Figure:
    """Horizontal and vertical profile (A summed over the other axis) of every layer, with their Gaussian fits."""
    parts = list(chunks(list(results.values())))
    columns = len(parts[0])
    cell = (WIDTH - 0.3) / max(columns, 2)
    fig = new_figure(columns * cell + 0.3, 4.4 * len(parts) + 0.3, title, note)
    axes = fig.subplots(2 * len(parts), columns, squeeze=False)
    for i, part in enumerate(parts):
        pair = axes[2 * i : 2 * i + 2]
        for j, result in enumerate(part):
            vertical, horizontal = profiles(shown(result)[0].mean(0))
            _draw_profile(pair[0, j], horizontal, result.centre[1], 'column (px)')
            _draw_profile(pair[1, j], vertical, result.centre[0], 'row (px)')
            write_title(pair[0, j], result.layer, cell)
        for ax in pair[:, len(part) :].flat:
            ax.axis('off')
        pair[0, 0].set_ylabel('horizontal', fontsize=9)
        pair[1, 0].set_ylabel('vertical', fontsize=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    fig.legend(handles, labels, fontsize=SMALL, frameon=False, loc='outside lower center', ncols=2)
    return fig


def _draw_profile(ax: Axes, profile: np.ndarray, centre: int, label: str) -> None:
    """Draw a profile relative to its maximum, its Gaussian fit and what that says."""
    fit, x = fit_gaussian(profile), np.arange(len(profile))
    top = profile.max() or 1
    ax.fill_between(x, profile / top, color=LINES[0], alpha=0.25, lw=0)
    ax.plot(x, profile / top, color=LINES[0], lw=1.1, label='profile')
    if not math.isnan(fit['sigma']):
        dense = np.linspace(0, len(profile) - 1, 600)
        curve = gaussian(dense, fit['amplitude'] / top, fit['mean'], max(fit['sigma'], 1e-9))
        ax.plot(dense, curve, color=LINES[1], lw=1.4, ls='--', label='Gaussian fit')
        r2 = 'n/a' if math.isnan(fit['r2']) else f'{fit["r2"]:.2f}'
        said = f'σ {fit["sigma"]:.1f} px\n$R^2$ {r2}'
        ax.text(0.03, 0.97, said, transform=ax.transAxes, fontsize=SMALL, color=GREY, va='top')
    ax.axvline(centre, color=GREY, lw=0.6, ls=':')
    ax.set(xlim=(0, len(profile) - 1), ylim=(0, 1.35), yticks=[0, 0.5, 1], xlabel=label)
    ax.xaxis.label.set_size(SMALL)
    _bare(ax)


def temporal_figure(results: Mapping[str, STERF], title: str = '', note: str = '') -> Figure:
    """Temporal ERF (summed over space, relative to its sum) over the delay, with exponential fits."""
    fig = new_figure(7.5, 3.4 + 0.18 * len(results), title, note)
    ax, fitted = fig.subplots(), ''
    for i, result in enumerate(results.values()):
        curve, colour = shown(result)[0].sum((1, 2)), LINES[i % len(LINES)]
        marker = MARKERS[(i + i // len(LINES)) % len(MARKERS)]
        share, fit = curve / (curve.sum() or 1), temporal_decay(curve)
        life = fit['half_life']
        text = 'n/a' if math.isnan(life) else '∞' if math.isinf(life) else f'{life:.2f} steps'
        name = words_of(result.layer)
        ax.plot(share, marker=marker, color=colour, lw=1.5, ms=5, label=f'{name}  (half-life {text})')
        if math.isfinite(life) and life > 0:
            dense = np.linspace(0, len(share) - 1, 200)
            start = (share**2 @ (share * np.exp(np.arange(len(share)) / fit['decay_constant']))) / (share**2).sum()
            ax.plot(dense, start * np.exp(-dense / fit['decay_constant']), color=colour, lw=0.9, ls='--', alpha=0.7)
            fitted = '; dashed: exponential fit'
    ax.set(xlabel=f'delay (time steps{fitted})', ylabel='share of the gradient', ylim=(0, None))
    ax.set_xticks(range(max(len(r.mean) for r in results.values())))
    fig.legend(fontsize=SMALL, frameon=False, loc='outside lower center', ncols=1 if len(results) < 5 else 2)
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
