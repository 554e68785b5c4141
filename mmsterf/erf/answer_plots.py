"""Pictures of the receptive fields of answers; needs matplotlib."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from mmsterf.palette import MAPS, MARK

from .answers import Answer
from .panels import WIDTH, colour_bar, draw_map, new_figure

_MOST_STEPS = 8


def picture_of(sample: np.ndarray, preprocessor=None) -> np.ndarray:
    """Return what a sample (C, H, W) or (T, C, H, W) shows, (H, W, 3) in [0, 1]: its last frame, not normalised.

    Args:
        sample: As behind the data preprocessor.
        preprocessor: That one, for means, standard deviations and the order of colours; without, the range is taken.
    """
    frame = sample.reshape(-1, *sample.shape[-3:])[-1].astype(float)
    inner = getattr(preprocessor, 'data_preprocessor', preprocessor)
    mean, std = (getattr(inner, key, None) for key in ('mean', 'std'))
    if mean is not None and std is not None and mean.numel() in (1, len(frame)):
        frame = frame * std.cpu().double().numpy().reshape(-1, 1, 1) + mean.cpu().double().numpy().reshape(-1, 1, 1)
        frame = frame / (255 if frame.max() > 2 else 1)
        swapped = getattr(inner, '_channel_conversion', getattr(inner, 'channel_conversion', False))
        frame = frame if swapped else frame[::-1]  # images are loaded with blue first
    else:
        frame = (frame - frame.min()) / (np.ptp(frame) or 1)
    if len(frame) != 3:
        frame = np.repeat(frame.mean(0, keepdims=True), 3, 0)
    return frame.clip(0, 1).transpose(1, 2, 0)


def _mark(ax: Axes, answer: Answer) -> None:
    h, w = answer.map.shape[1:]
    if answer.box:
        x1, y1, x2, y2 = np.clip(answer.box, -0.5, (w + 0.5, h + 0.5) * 2)
        ax.add_patch(Rectangle((x1 - 0.5, y1 - 0.5), x2 - x1, y2 - y1, fill=False, ec=MARK, lw=1.4))
    if answer.region is not None and not answer.region.all():
        ax.contour(answer.region, levels=[0.5], colors=MARK, linewidths=0.9)
    if answer.pixel:
        ax.plot(answer.pixel[1], answer.pixel[0], '+', color=MARK, ms=9, mew=1.5)
    ax.set(xticks=[], yticks=[], xlim=(-0.5, w - 0.5), ylim=(h - 0.5, -0.5))


def answer_figure(answer: Answer, preprocessor=None, title: str = '', note: str = '') -> Figure:
    """The input with the box, pixel or region of an answer, its map over the input and by itself, and by time step.

    Args:
        answer: What to draw.
        preprocessor: See `picture_of`.
        title: Heading; default target, class and score.
        note: Warning under it.
    """
    steps = np.unique(np.linspace(0, len(answer.map) - 1, _MOST_STEPS).astype(int)) if len(answer.map) > 1 else []
    a, picture, numbers = answer.map.mean(0), picture_of(answer.sample, preprocessor), answer.measure()
    ratio = min(max(a.shape[0] / a.shape[1], 0.4), 2.0)
    note = '; '.join(filter(None, (note, *answer.notes)))
    title = title or f'{answer.target}, class {answer.label}, score {answer.score:.3f}'
    heights = [3.0 * ratio + 0.95]
    if len(steps):
        heights.append(WIDTH / max(len(steps), 3) * ratio * 0.9 + 0.9)
    fig = new_figure(WIDTH, sum(heights), title, note)
    rows = fig.subfigures(2, 1, height_ratios=heights) if len(steps) else [fig]
    left, middle, right = rows[0].subplots(1, 3)
    left.imshow(picture)
    _mark(left, answer)
    left.set_title('input', fontsize=9)
    relative = np.nan_to_num(a / (np.nanmax(a) or 1))
    grey = np.repeat(picture.mean(2, keepdims=True), 3, 2)
    middle.imshow(0.15 + 0.55 * grey)
    shown = middle.imshow(
        relative, cmap=MAPS, norm=PowerNorm(0.5, 0, 1), alpha=np.sqrt(relative), interpolation='nearest'
    )
    _mark(middle, answer)
    middle.set_title('gradient over the input', fontsize=9)
    image = draw_map(right, a, 'log')
    _mark(right, answer)
    right.set_title('gradient, logarithmic', fontsize=9)
    colour_bar(rows[0], shown, middle, 'linear', 'contribution / maximum (root scale)')
    colour_bar(rows[0], image, right, 'log')
    if len(steps):
        axes = rows[1].subplots(1, len(steps))
        for ax, step in zip(np.atleast_1d(axes), steps):
            image = draw_map(ax, answer.map[step], 'log', top=answer.map.max())
            _mark(ax, answer)
            ax.set_title(f'step {step}:\n{100 * numbers["by_step"][step]:.1f} %', fontsize=9)
        colour_bar(rows[1], image, axes, 'log')
    rows[-1].supxlabel(_caption(numbers), fontsize=8.5)
    return fig


def _caption(numbers: dict) -> str:
    parts = [] if np.isnan(numbers['inside']) else [f'{100 * numbers["inside"]:.1f} % of the gradient inside']
    if not np.isnan(numbers['area_50']):
        parts.append(f'half of it in {100 * numbers["area_50"]:.1f} % of the image')
    return ';  '.join([*parts, f'non-zero {100 * numbers["nonzero"]:.1f} %', f'radius {numbers["radius"]:.1f} px'])
