"""What `--backend nnpack` does otherwise, by itself: 3x3 convolutions against oneDNN's, RoIAlign against mmcv's.

    python benchmarks/parts.py [--threads 2] [--runs 5]

Prints Markdown tables; times are the least of the runs.
"""

import argparse
import sys
import time
from pathlib import Path
from typing import Callable

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

import torch
import torch.nn.functional as F
from mmcv.ops import roi_align
from speed_tables import table

from mmsterf.deploy.comparing import difference
from mmsterf.deploy.regions import region_means
from mmsterf.engine import arguments, command_line

CONVOLUTIONS = (
    (1, 32, 100, 152),
    (1, 64, 100, 152),
    (1, 128, 256, 256),
    (1, 256, 200, 304),
    (1, 256, 100, 152),
    (1, 256, 25, 38),
    (1, 256, 13, 19),
    (2, 256, 50, 76),
    (100, 256, 14, 14),
    (1000, 256, 7, 7),
)
"""Inputs (N, C, H, W), C channels to C."""
REGIONS = ((500, 4, 8, 112), (250, 8, 112, 224), (150, 16, 224, 448), (100, 32, 448, 900))
"""On each map of an FPN for 800x1216: how many, its stride, and from and to which side, in pixels of the image."""


def seconds(runs: int, run: Callable, *args) -> tuple:
    """Least time of some calls, and what they return."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        found = run(*args)
        times.append(time.perf_counter() - start)
    return min(times), found


def each(x: torch.Tensor, *args) -> torch.Tensor:
    """NNPACK's convolution of one image after the other."""
    return torch.cat([torch._nnpack_spatial_convolution(one, *args) for one in x.split(1)])


def convolutions(runs: int) -> None:
    """Print the table of convolutions of counts 0 to 4."""
    rows = []
    for shape in CONVOLUTIONS:
        number, channels, height, width = shape
        x, bias = torch.randint(0, 5, shape).float(), torch.zeros(channels)
        args = x, torch.randn(channels, channels, 3, 3) / (9 * channels) ** 0.5, bias
        ways = ((F.conv2d, (1, 1), (1, 1)), (torch._nnpack_spatial_convolution, (1, 1)), (each, (1, 1)))
        (plain, expected), *others = [seconds(runs, way, *args, *rest) for way, *rest in ways]
        rate = 18e-9 * number * channels**2 * height * width
        cells = [f'{1e3 * value:.1f} ({rate / value:.0f})' for value in (plain, *(taken for taken, _ in others))]
        worst = max(difference([found], [expected]) for _, found in others)
        rows.append(('x'.join(map(str, shape)), *cells, f'{worst:.0e}'))
    table(['maps', 'oneDNN: ms (GFLOP/s)', 'NNPACK', 'NNPACK, one at a time', 'difference'], rows)


def regions(runs: int) -> None:
    """Print the table of RoIAlign, 256 channels, samples as many as pixels."""
    rows = []
    for number, stride, least, most in REGIONS:
        maps = torch.randn(1, 256, 800 // stride, 1216 // stride)
        centre = torch.rand(number, 2) * torch.tensor([1216.0, 800.0])
        half = (torch.rand(number, 2) * (most - least) + least) / 2
        boxes = torch.cat([centre - half, centre + half], 1)
        limits = torch.tensor([1216.0, 800.0]).repeat(2)
        boxes = torch.cat([torch.zeros(number, 1), torch.minimum(boxes.clamp(min=0), limits)], 1)
        for cells in ((7, 7), (14, 14)):
            plain, expected = seconds(runs, roi_align, maps, boxes, cells, 1 / stride, 0, 'avg', True)
            ours, found = seconds(runs, region_means, maps, boxes, cells, 1 / stride, 0, True)
            times = f'{1e3 * plain:.0f}', f'{1e3 * ours:.0f}', f'{plain / ours:.1f}x'
            rows.append((number, stride, f'{cells[0]}x{cells[1]}', *times, f'{difference([found], [expected]):.0e}'))
    table(['regions', 'stride', 'cells', 'mmcv: ms', '`region_means`: ms', 'faster', 'difference'], rows)


@command_line()
def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--threads', type=arguments.count, default=2)
    parser.add_argument('--runs', type=arguments.count, default=5)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f'{args.threads} threads\n')
    with torch.inference_mode():
        if torch.backends.nnpack.is_available():
            convolutions(args.runs)
        regions(args.runs)


if __name__ == '__main__':
    main()
