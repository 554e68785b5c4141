"""Grids that are not the image's: regions of interest, sampled points, several levels in a row."""

import pytest
import torch
import torch.nn.functional as F
from mmcv.ops import RoIAlign
from torch import nn

from mmsterf.erf import Noise, probe, st_erf, untouched

SIZE = 48, 64


class Named(nn.Module):
    """Runs a function, so that its result is a layer."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


class Regions(nn.Module):
    """One box (8, 16, 24, 48) (top, left, bottom, right) of a map at stride 4, then a convolution and half of it."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 4, 4)
        self.align = RoIAlign(8, spatial_scale=1 / 4, sampling_ratio=2)
        self.conv = nn.Conv2d(4, 4, 1)
        rows = (torch.arange(4) + 0.5) / 4 - 1  # the upper left quarter, in 4 x 4 cells
        self.grid = torch.stack(torch.meshgrid(rows, rows, indexing='ij')[::-1], -1)[None]
        self.quarter = Named(lambda x: F.grid_sample(x, self.grid.expand(len(x), -1, -1, -1), align_corners=False))
        listed = self.grid.reshape(1, 1, 16, 2)  # the same, as a list
        self.rows = Named(
            lambda x: F.grid_sample(x, listed.expand(len(x), -1, -1, -1), align_corners=False).reshape(len(x), -1, 4, 4)
        )
        self.points = Named(lambda x: F.grid_sample(x, torch.tensor([[[[0.3, 0.1]] * 9]]), align_corners=False))

    def forward(self, x):
        rois = torch.tensor([[i, 16.0, 8, 48, 24] for i in range(len(x))])
        y = self.conv(self.align(self.stem(x), rois))
        return self.quarter(y), self.points(y[:1]), self.rows(y)


def middle(field):
    rows, columns = (torch.from_numpy(field.spatial().sum(axis)) for axis in (1, 0))
    return [float((m * (torch.arange(len(m)) + 0.5)).sum() / m.sum()) for m in (rows, columns)]


def test_cells_of_a_region_lie_in_its_box():
    torch.manual_seed(0)
    found = st_erf(Regions(), Noise(3, (3, *SIZE)), ['align', 'conv', 'quarter', 'rows'], batch_size=2)
    # cells of the box are 2 x 4 pixels; 'center' is cell (4, 4), whose middle is (8 + 4.5 * 2, 16 + 4.5 * 4)
    for name in ('align', 'conv'):
        assert (found[name].grid, found[name].cell, found[name].centre) == ((8, 8), (4, 4), (17, 34))
        assert middle(found[name]) == pytest.approx([17, 34], abs=1)
        assert f'the grid of {name} covers the region 8 16 24 48' in found[name].notes[0]
    # the quarter covers (8, 16, 16, 32) in 4 x 4 cells of 2 x 4 pixels
    for name in ('quarter', 'rows'):
        assert (found[name].grid, found[name].centre) == ((4, 4), (13, 26))
        assert middle(found[name]) == pytest.approx([13, 26], abs=1)
    at = st_erf(Regions(), Noise(1, (3, *SIZE)), 'align', position=(9, 45))['align']
    assert at.cell == (0, 7) and at.centre == (9, 45) and middle(at) == pytest.approx([9, 46], abs=2)
    with pytest.raises(ValueError, match='not in the region of interest 8 16 24 48'):
        st_erf(Regions(), Noise(1, (3, *SIZE)), 'align', position=(40, 20))
    with pytest.raises(ValueError, match=r"layer 'points' has no spatial shape \(its axes are channels, queries"):
        st_erf(Regions(), Noise(1, (3, *SIZE)), 'points')


class Levels(nn.Module):
    """Two grids as tokens of one sequence, as deformable encoders have them."""

    def __init__(self):
        super().__init__()
        self.fine, self.coarse = nn.Conv2d(3, 8, 8, 8), nn.Conv2d(8, 8, 2, 2)
        self.mix = nn.Linear(8, 8)
        self.back = Named(lambda y: y.split([48, 12], 1)[1].transpose(1, 2).unflatten(2, (3, 4)))
        self.decoder = nn.MultiheadAttention(8, 2, batch_first=True)
        self.queries = nn.Parameter(torch.randn(1, 12, 8))

    def forward(self, x):
        fine = self.fine(x)
        tokens = torch.cat([m.flatten(2).transpose(1, 2) for m in (fine, self.coarse(fine))], 1)
        tokens = tokens + self.mix(tokens)
        return self.back(tokens), self.decoder(self.queries.expand(len(x), -1, -1), tokens, tokens)


def test_levels_in_a_row_are_no_map_but_can_be_cut_out():
    model = Levels()
    with untouched(model) as bare:
        usable, reasons = probe(bare, torch.randn(1, 3, *SIZE, requires_grad=True), SIZE)
    assert {n: layer.grid for n, layer in usable.items() if n[0] != '.'} == {
        'fine': (6, 8),
        'coarse': (3, 4),
        'back': (3, 4),
    }
    assert not any(layer.guess for layer in usable.values())
    assert 'pairs or levels' in reasons['mix'] and 'queries' in reasons['decoder:0']  # 12 queries are no 3 x 4
