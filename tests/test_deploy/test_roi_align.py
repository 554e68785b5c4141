"""RoIAlign as sums of pixels against mmcv's, and against values known without either."""

import pytest
import torch
from mmcv.ops import RoIAlign
from torch import nn

from mmsterf.deploy.regions import region_means, share_regions

SCALE = 0.5


def regions(number: int = 100) -> torch.Tensor:
    """Of images of 60 x 40 pixels: small, large, partly outside, wholly outside, lines, points, on the last pixel."""
    torch.manual_seed(0)
    corners = torch.rand(number, 2, 2) * torch.tensor([90.0, 70.0]) - 15
    boxes = torch.cat([corners.min(1).values, corners.max(1).values], 1)
    boxes[0, 2:] = boxes[0, :2]
    boxes[1, 2] = boxes[1, 0]
    boxes[2:6] = torch.tensor([[-100, -100, -50, -50], [-500, -500, 900, 900], [0, 0, 60, 40], [2, 2, 2.5, 2.1]])
    return torch.cat([torch.arange(float(number))[:, None] % 2, boxes], 1)


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('ratio', [0, 1, 2, 3])
@pytest.mark.parametrize('cells', [(7, 7), (3, 5)])
def test_equals_mmcv(aligned, ratio, cells):
    torch.manual_seed(1)
    maps = torch.randn(2, 5, 20, 30)
    expected = RoIAlign(cells, SCALE, ratio, aligned=aligned)(maps, regions())
    found = region_means(maps, regions(), cells, SCALE, ratio, aligned)
    assert found.is_contiguous() and float(expected.std()) > 0.1
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-6)


def test_a_slope_gives_the_centres_of_cells():
    """Bilinear interpolation of x + 100 y is exact, and the mean of a cell's samples is its centre."""
    y, x = torch.meshgrid(torch.arange(40.0), torch.arange(60.0), indexing='ij')
    box = torch.tensor([[0, 8.0, 6.0, 36.0, 27.0]])
    found = region_means((x + 100 * y)[None, None], box, (3, 4), 1.0, 0, True)
    xs = 8 - 0.5 + 28 / 4 * (torch.arange(4) + 0.5)
    ys = 6 - 0.5 + 21 / 3 * (torch.arange(3) + 0.5)
    torch.testing.assert_close(found[0, 0], xs + 100 * ys[:, None], rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize('value', [float('nan'), float('inf'), 1e9, -1e9])
def test_no_box_of_an_image(value):
    """What cannot be sampled in reasonable time, or has negative sides, is mmcv's to answer for."""
    boxes = regions(8)
    boxes[3, 3] = value
    assert region_means(torch.randn(2, 5, 20, 30), boxes, (7, 7), SCALE, 0, True) is None


def test_layers_of_a_model(monkeypatch):
    """Those that average are changed, and hand on what they cannot do; without regions there is nothing to do."""
    model = nn.ModuleList([RoIAlign(7, SCALE, 2), RoIAlign(7, SCALE, 2, pool_mode='max')])
    maps, boxes = torch.randn(2, 5, 20, 30), regions()
    expected = [layer(maps, boxes) for layer in model]
    share_regions(model)
    monkeypatch.setattr(RoIAlign, 'forward', lambda layer, x, r: (layer.pool_mode, len(r)))
    torch.testing.assert_close(model[0](maps, boxes), expected[0], rtol=0, atol=2e-6)
    assert model[0](maps, boxes[:0]) == ('avg', 0) and model[1](maps, boxes) == ('max', len(boxes))
    boxes[0, 1] = float('nan')
    assert model[0](maps, boxes) == ('avg', len(boxes))
