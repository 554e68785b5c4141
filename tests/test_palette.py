"""Colours that everybody tells apart."""

import matplotlib
import numpy as np

from mmsterf.palette import CLASSES, GROUNDS, LINES, MARKERS, as_seen, class_colours, distances


def least(colours):
    colours = np.asarray(colours)
    return (distances(colours, colours) + np.eye(len(colours))).min()


def test_classes_differ_for_all_eyes_and_on_all_grounds():
    tab10 = np.multiply(matplotlib.colormaps['tab10'].colors, 255)
    assert least(CLASSES) > 0.1 > 0.02 > least(tab10)  # two of the latter look alike to a deuteranope
    assert distances(CLASSES, GROUNDS).min() > 0.1
    assert least([matplotlib.colors.to_rgb(line) for line in LINES[:5]] * np.array(255)) > 0.07
    assert len(set(MARKERS)) == len(LINES)


def test_any_number_of_colours():
    assert class_colours(3) == CLASSES[:3] and class_colours(0) == ()
    many = class_colours(80)
    assert many[:10] == CLASSES and len(set(many)) == 80 and least(many) > 0.02
    assert distances(many, GROUNDS).min() > 0.02


def test_how_colours_look():
    red, green, grey = (200, 60, 60), (120, 110, 40), (128, 128, 128)
    assert as_seen([red, grey])[0].tolist() == [list(red), list(grey)]
    assert np.ptp(as_seen([grey]), axis=-1).max() <= 1  # grey is grey to all
    assert distances([red], [green])[0, 0] < np.linalg.norm(np.subtract(red, green)) / 255
