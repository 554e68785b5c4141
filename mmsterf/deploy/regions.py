"""RoIAlign on CPU as sums of pixels: mmcv's runs on one core, and takes a third of a Mask R-CNN's time."""

from functools import partial
from typing import Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_MOST_SAMPLES = 256
"""Of a cell along one axis; what has more is no box of an image, and left to mmcv."""


def share_regions(model: nn.Module) -> None:
    """Let mmcv's RoIAlign layers in a model, those that average, use `region_means` on CPU; the model is changed."""
    for module in model.modules():
        if type(module).__name__ == 'RoIAlign' and getattr(module, 'pool_mode', None) == 'avg':
            module.forward = partial(_align, module)


def _align(layer: nn.Module, maps: Tensor, regions: Tensor) -> Tensor:
    found = None
    if maps.device.type == 'cpu' and len(regions) and not layer.use_torchvision:
        found = region_means(maps, regions, layer.output_size, layer.spatial_scale, layer.sampling_ratio, layer.aligned)
    return type(layer).forward(layer, maps, regions) if found is None else found


def region_means(
    maps: Tensor, regions: Tensor, cells: tuple, scale: float, ratio: int, aligned: bool
) -> Optional[Tensor]:
    """RoIAlign (He et al., Mask R-CNN, ICCV 2017, section 3) with averages, as `mmcv.ops.roi_align` computes it.

    A cell is a weighted sum of pixels. Bilinear weights are products of one for the row and one for the column; those
    of a cell's samples are added up first, so that each pixel is read once, all its channels together.

    Args:
        maps (Tensor): (N, C, H, W) on CPU.
        regions (Tensor): (R, 5): image, x1, y1, x2, y2.
        cells (tuple[int, int]): (h, w) of the output.
        scale (float): From a region's coordinates to the map's.
        ratio (int): Samples of a cell along each axis; 0 for about one each pixel.
        aligned (bool): Whether the centres of pixels lie at half coordinates.

    Returns:
        Tensor | None: (R, C, h, w); None if a region is not finite, or larger than those of images.
    """
    channels, height, width = maps.shape[1:]
    boxes = regions[:, 1:].float() * scale - (0.5 if aligned else 0.0)
    sides = boxes[:, 2:] - boxes[:, :2]
    if not aligned:
        sides = sides.clamp(min=1)
    if not (boxes.isfinite().all() and sides.min() >= 0 and sides.max() < _MOST_SAMPLES * min(cells)):
        return None
    top, down = _weights(boxes[:, 1], sides[:, 1], cells[0], height, ratio)
    left, across = _weights(boxes[:, 0], sides[:, 0], cells[1], width, ratio)
    table = maps.permute(0, 2, 3, 1).reshape(-1, channels)
    bags = len(regions), *cells
    # Each cell is a bag of pixels: its rows times its columns, from its first pixel on.
    first = (regions[:, 0].long()[:, None, None] * height + top[:, :, None]) * width + left[:, None]
    columns = _lengths(across)[:, None].expand(bags).flatten()
    sizes = _lengths(down)[:, :, None].expand(bags).flatten() * columns
    ends = sizes.cumsum(0)
    bag = torch.arange(len(sizes)).repeat_interleave(sizes)
    place = torch.arange(len(bag)) - (ends - sizes)[bag]
    row = place // columns[bag]
    column = place - row * columns[bag]
    one = torch.arange(len(down) * cells[0]).view(-1, cells[0], 1).expand(bags).flatten()
    other = torch.arange(len(across) * cells[1]).view(-1, 1, cells[1]).expand(bags).flatten()
    weights = down.flatten(0, 1)[one[bag], row] * across.flatten(0, 1)[other[bag], column]
    pixels = first.flatten()[bag] + row * width + column
    means = F.embedding_bag(pixels, table.float(), ends - sizes, mode='sum', per_sample_weights=weights)
    return means.view(len(regions), -1, channels).transpose(1, 2).contiguous().view(-1, channels, *cells).to(maps.dtype)


def _weights(start: Tensor, side: Tensor, cells: int, pixels: int, ratio: int) -> tuple:
    """Along one axis, the pixels of each cell, and their weights.

    Args:
        start (Tensor): (R,), of regions, in pixels.
        side (Tensor): (R,)
        cells (int): Of a region.
        pixels (int): Of the map.
        ratio (int): Samples of a cell, 0 for about one each pixel.

    Returns:
        tuple[Tensor, Tensor]: (R, cells) first pixel, and (R, cells, K) weights of it and of those behind it.
    """
    start, step = start[:, None, None], (side / cells)[:, None, None]
    samples = step.new_full(step.shape, ratio) if ratio else step.ceil()
    index = torch.arange(int(samples.max().clamp(min=1)))
    exists = index < samples  # a region without area has no pixels, and no sample, along this axis
    samples = samples.clamp(min=1)
    # In mmcv's order, so that rounding is the same.
    at = start + torch.arange(cells)[:, None] * step + (index + 0.5) * step / samples
    counts = exists & (at >= -1) & (at <= pixels)
    at = at.clamp(0, pixels - 1)
    first = at[:, :, :1].floor()
    reach = torch.arange(int((torch.where(counts, at, 0) - first).max().clamp(min=0)) + 2)
    shares = (1 - (at - first)[..., None].sub(reach).abs()).clamp(min=0)
    return first[..., 0].long(), (shares * (counts / samples)[..., None]).sum(2)


def _lengths(weights: Tensor) -> Tensor:
    """For each cell, how many pixels up to the last that counts."""
    return ((weights > 0) * torch.arange(1, weights.shape[-1] + 1)).amax(-1)
