"""Time of the ST-ERF core against the usual procedure, in one run: same model, inputs, threads, machine.

    python benchmarks/st_erf.py [--num 20] [--size 224 224] [--mixer ConvMixer] [--out FILE.json]

The procedure: for every layer and every input, one forward pass of the whole model and one ``backward()`` from the
layer, which also computes the gradients of the weights. The layers are the attention projections of MetaSDT tiny.
Both are timed in turns, ten inputs each, in processor time, which other programs on the machine disturb less than wall
time; both are printed.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from mmsterf.erf import Noise, calibrated, replace_file, st_erf
from mmsterf.models import MetaSDT


def usual_map(model: torch.nn.Module, layer: torch.nn.Module, image: torch.Tensor) -> np.ndarray:
    """Spatial ERF of one layer and one input by one forward and one backward pass."""
    x = image[None].clone().requires_grad_()
    kept = []
    handle = layer.register_forward_hook(lambda module, args, output: kept.append(output))
    model(x)
    handle.remove()
    seed = torch.zeros_like(kept[0])
    seed[..., seed.shape[-2] // 2, seed.shape[-1] // 2] = 1
    kept[0].backward(seed)
    model.zero_grad()
    return x.grad[0].abs().mean(0).double().numpy()


class Clock:
    """Add up processor and wall time."""

    def __init__(self) -> None:
        self.cpu = self.wall = 0.0

    def __enter__(self) -> None:
        self.start = time.process_time(), time.perf_counter()

    def __exit__(self, *_) -> None:
        self.cpu += time.process_time() - self.start[0]
        self.wall += time.perf_counter() - self.start[1]


def main() -> None:
    """Run both and print times, ratio and difference."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--num', type=int, default=20, help='inputs (default 20)')
    parser.add_argument('--size', type=int, nargs=2, default=(224, 224), help='input size (default 224 224)')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads(), help="torch threads (default: torch's)")
    parser.add_argument('--mixer', default='ConvMixer', help='ConvMixer (default), MLPixer or SRB')
    parser.add_argument('--batch-size', type=int, default=4, help='of the core (default 4)')
    parser.add_argument('--out', help='also write the numbers to this JSON file')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    data = Noise(args.num, (3, *args.size))
    model = calibrated(MetaSDT('tiny', dict(type=args.mixer)), Noise(4, data.shape, seed=1)).requires_grad_(True)
    layers = [n for n, _ in model.named_modules() if n.endswith('attn.proj')]
    usual_map(model, model.get_submodule(layers[0]), data[0].float())  # warm up

    usual, ours = Clock(), Clock()
    means = {n: np.zeros(args.size) for n in layers}
    core = {n: np.zeros(args.size) for n in layers}
    parts = [range(i, min(i + 10, args.num)) for i in range(0, args.num, 10)]
    for part in tqdm(parts, desc='inputs', unit='part'):
        with usual:
            for i in part:
                image = data[i].float()
                for n in layers:
                    means[n] += usual_map(model, model.get_submodule(n), image) / args.num
        with ours:
            found = st_erf(model, [data[i] for i in part], layers, batch_size=args.batch_size)
        for n in layers:
            core[n] += found[n].spatial() * len(part) / args.num
    peak = max(m.max() for m in means.values())
    result = {
        'layers': len(layers),
        'inputs': args.num,
        'size': list(args.size),
        'threads': args.threads,
        'batch_size': args.batch_size,
        'usual_cpu_s': round(usual.cpu, 2),
        'core_cpu_s': round(ours.cpu, 2),
        'cpu_ratio': round(usual.cpu / ours.cpu, 2),
        'usual_wall_s': round(usual.wall, 2),
        'core_wall_s': round(ours.wall, 2),
        'wall_ratio': round(usual.wall / ours.wall, 2),
        'largest_map_value': float(peak),
        'largest_difference': float(max(np.abs(core[n] - means[n]).max() for n in layers)),
    }
    print(json.dumps(result, indent=2))
    if args.out:
        replace_file(args.out, lambda path: path.write_text(json.dumps(result, indent=2) + '\n'))


if __name__ == '__main__':
    main()
