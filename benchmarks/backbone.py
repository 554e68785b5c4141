"""Time and peak memory of MetaSDT: linear against quadratic attention, at two image sizes.

    python benchmarks/backbone.py [--arch tiny] [--sizes 400x608 800x1216] [--runs 3] [--threads N]

Each case runs in a process of its own, so that its peak memory is its own. Times are medians; ratios within a table are
comparable, absolute times are the machine's.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

GROUPINGS = ('linear', 'quadratic')
MODES = ('inference', 'training')


def quadratic(self, x):
    """SDSA.forward with q k^T first, as the public code computes it: (pixels x pixels) per head."""
    spikes = self.spike(self.norm(self.qkv(x)))
    q, k, v = (part.unflatten(1, (self.num_heads, -1)).flatten(3) for part in spikes.split(self.widths, dim=1))
    y = v @ (k.transpose(-2, -1) @ q) * self.scale
    return self.proj(y.flatten(1, 2).unflatten(-1, x.shape[-2:]))


def case(args: argparse.Namespace) -> None:
    """Run one case and print seconds per run and the peak resident memory in MB."""
    import torch

    from mmsterf.models import SDSA, MetaSDT

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    grouping, mode, size = args.case.split(',')
    if grouping == 'quadratic':
        SDSA.forward = quadratic
    model = MetaSDT(args.arch, mixer=dict(type=args.mixer)).train(mode == 'training')
    x = torch.randn(1, 3, *(int(side) for side in size.split('x')))
    seconds = []
    for _ in range(args.runs + 1):
        start = time.perf_counter()
        if mode == 'training':
            model.zero_grad()
            sum(out.square().mean() for out in model(x)).backward()
        else:
            with torch.inference_mode():
                model(x)
        seconds.append(time.perf_counter() - start)
    print(statistics.median(seconds[1:]), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    """Run all cases and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--arch', default='tiny')
    parser.add_argument('--mixer', default='MLPixer')
    parser.add_argument('--sizes', nargs='+', default=['400x608', '800x1216'])
    parser.add_argument('--runs', type=int, default=3)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--case', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.case:
        return case(args)
    print(f'MetaSDT {args.arch}, {args.mixer}, one image, {args.threads} threads\n')
    print('| mode | attention | ' + ' | '.join(f'{size}: s | MB' for size in args.sizes) + ' | growth |')
    print('|---|---|' + '---|' * (2 * len(args.sizes) + 1))
    for mode in MODES:
        for grouping in GROUPINGS:
            cells, times = [], []
            for size in args.sizes:
                command = [sys.executable, __file__, *sys.argv[1:], '--case', f'{grouping},{mode},{size}']
                seconds, memory = map(float, subprocess.check_output(command, text=True).split())
                times.append(seconds)
                cells += [f'{seconds:.2f}', f'{memory:.0f}']
            print(f'| {mode} | {grouping} | {" | ".join(cells)} | {times[-1] / times[0]:.1f}x |', flush=True)
    return None


if __name__ == '__main__':
    main()
