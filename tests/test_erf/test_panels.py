"""Figures of receptive fields: what they say stands apart, in words, on one scale."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.text import Text

from mmsterf.erf import STERF, plots
from mmsterf.erf.panels import chunks, percent, words_of

MIXERS = ['stage1a', 'stage1b', 'stage2', 'stage3', 'stage4']
SWIN = [f'0.stages.{i}.blocks.{j}' for i, j in ((0, 1), (1, 1), (2, 5), (3, 1))]
PARTS = [f'backbone.layer{i}.{j}' for i in (1, 2, 3) for j in (0, 1)]


def results(layers, size=(24, 60), delays=1):
    """Round maps of growing size, by layer."""
    h, w = size
    y, x = np.mgrid[:h, :w]
    found = {}
    for i, layer in enumerate(layers):
        a = np.exp(-((y - h // 2) ** 2 + (x - w // 2) ** 2) / (2 * 4.0 ** (i + 1)))
        maps = np.stack([a * 0.5**d for d in range(delays)])
        found[layer] = STERF(layer, maps, 0 * maps, 1, (h // 2, w // 2), (1, 1), (3, 3), delays, 'last')
    return found


FIGURES = {
    'rows of other layers': lambda: plots.overview_figure(
        {'conv': results(MIXERS), 'swin': results(SWIN), 'again': results(MIXERS)}, 'log', 'Spatial ERF', 'RANDOM'
    ),
    'portrait': lambda: plots.overview_figure({'a': results(MIXERS, (60, 24))}, 'both', 'Spatial ERF'),
    'more than fit': lambda: plots.overview_figure({'a': results(PARTS, (24, 24))}, 'both', 'Spatial ERF'),
    'delays': lambda: plots.delay_figure(results(SWIN, delays=4), title='By delay', note='RANDOM'),
    'profiles': lambda: plots.profile_figure(results(MIXERS), 'Profiles', 'RANDOM'),
    'layer': lambda: plots.layer_figure(results(SWIN)[SWIN[2]], note='RANDOM'),
}


@pytest.mark.parametrize('name', FIGURES)
def test_no_text_runs_into_another_or_out_of_the_figure(name):
    fig = FIGURES[name]()
    fig.canvas.draw()
    texts = fig.findobj(lambda item: isinstance(item, Text) and item.get_visible() and item.get_text().strip())
    beyond = {
        tick.label1
        for ax in fig.axes
        for axis in (ax.xaxis, ax.yaxis)
        for tick in axis.get_major_ticks()
        if not ax.axison or not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }  # not drawn
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text not in beyond]
    assert len(boxes) > 8
    inside = fig.bbox.padded(1)
    out = [text for text, box in boxes if not (inside.contains(*box.min) and inside.contains(*box.max))]
    crossing = [(a[0], b[0]) for a, b in combinations(boxes, 2) if a[1].padded(-1).overlaps(b[1].padded(-1))]
    assert not out and not crossing


def test_one_bar_for_maps_of_one_scale():
    fig = plots.overview_figure({'conv': results(MIXERS), 'swin': results(SWIN)}, 'log')
    images = [image for ax in fig.axes for image in ax.images]
    assert len(images) == 9 and {image.get_clim() for image in images} == {(-5, 0)}
    assert sum(ax.get_label() == '<colorbar>' for ax in fig.axes) == 1


@pytest.mark.parametrize(
    ('layer', 'words'),
    [
        ('0.stages.2.blocks.5', 'stage 3, block 6'),
        ('stage3.5', 'stage 3, block 6'),
        ('stage1a', 'stage 1a'),
        ('layers.0.1.1', 'layer 1, block 2.2'),
        ('backbone:0', 'backbone, map 1'),
        ('backbone.layer4.2', 'backbone, layer 4, block 3'),
        ('rpn_head.conv', 'rpn head, conv'),
        ('7', '7'),
        ('depth 10 3x3 LIF tau 1.1', 'depth 10 3x3 LIF tau 1.1'),
    ],
)
def test_layers_in_words(layer, words):
    assert words_of(layer) == words


def test_shares_and_rows():
    assert [percent(v) for v in (1, 0.9996, 0.956, 0.0072, 0.0995, float('nan'))] == [
        '100 %', '99.9 %', '96 %', '0.72 %', '10 %', 'n/a',
    ]  # fmt: skip
    assert [len(part) for part in chunks(list(range(12)))] == [4, 4, 4]
