"""Time and memory of ST-ERF against two hand-written procedures, in one run: same models, inputs, threads, machine.

    python benchmarks/st_erf.py [--size 1024] [--num 3] [--models resnet50 swin_t meta_sdt] [--out FILE.json]

(a) script: one forward pass, the graph kept, one backward pass to the input per layer; weights ask for no gradient.
(b) passes: for every layer one forward pass of the whole model and one ``backward()``, of one input only.
(c) core: `mmsterf.erf.st_erf`, everything included: reading axes, and the look for gradients that cancel; memory that
is freed stays with the process, as in `mmsterf-erf`.
(d) kept: (a) with that setting.

Every procedure and model has a process of its own, whose largest resident memory is printed. The maps of all are
compared. Where they differ by more than rounding, a fourth process runs (a) in double precision: a ReLU, or a neuron at
its threshold, may pass its gradient in one procedure and not in the other, and maps must then be as close to the exact
ones as those of (a).
"""

import argparse
import json
import math
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from mmsterf.engine.allocator import keep_freed_memory
from mmsterf.erf import Noise, calibrated, replace_file, st_erf

SAME = 1e-5
"""Largest difference between maps, as a part of the largest value: rounding errors."""
AS_GOOD = 2
"""Times the script's own error that the core's may be, where they differ by more."""
MODELS = {
    'resnet50': ['layer1', 'layer2', 'layer3', 'layer4'],
    'swin_t': ['stages.0.blocks.1', 'stages.1.blocks.1', 'stages.2.blocks.5', 'stages.3.blocks.1'],
    'meta_sdt': ['stage1b.0', 'stage2.1', 'stage3.5', 'stage4.1'],
}
PROCEDURES = ('script', 'kept', 'passes', 'core')


def build(name: str) -> torch.nn.Module:
    """Return a model with random weights."""
    torch.manual_seed(0)
    if name == 'resnet50':
        from mmdet.models.backbones import ResNet

        model = ResNet(50)
    elif name == 'swin_t':
        from mmdet.models.backbones import SwinTransformer

        model = SwinTransformer()
    else:
        from mmsterf.models import MetaSDT

        model = calibrated(MetaSDT('tiny'), Noise(2, (3, 256, 256), seed=1))
    model.eval()
    return model.requires_grad_(True)


def run_to(model, layers: list, x: torch.Tensor) -> list[tuple]:
    """One forward pass; return the layers' outputs and the gradients of their centres."""
    kept = {}
    handles = [
        model.get_submodule(n).register_forward_hook(lambda m, args, y, n=n: kept.setdefault(n, y)) for n in layers
    ]
    model(x)
    for handle in handles:
        handle.remove()
    return [(kept[n], centre_of(kept[n])) for n in layers]


def centre_of(y: torch.Tensor) -> torch.Tensor:
    """Ones at the centre of a map (N, C, H, W) or of a square of tokens (N, L, C)."""
    seed = torch.zeros_like(y)
    if y.ndim == 3:
        side = math.isqrt(y.shape[1])
        seed[:, side // 2 * side + side // 2] = 1
    else:
        seed[..., y.shape[-2] // 2, y.shape[-1] // 2] = 1
    return seed


def script(model, layers: list, images) -> np.ndarray:
    """One forward pass per input, one backward pass per layer."""
    model.requires_grad_(False)
    dtype = next(model.parameters()).dtype
    maps = []
    for image in images:
        x = image.float()[None].to(dtype).requires_grad_()
        outputs = run_to(model, layers, x)
        found = []
        while outputs:
            y, seed = outputs.pop()
            (grad,) = torch.autograd.grad(y, x, seed, retain_graph=bool(outputs))
            found.insert(0, grad[0].abs().mean(0).numpy())
        maps.append(found)
    return np.array(maps)


def kept(model, layers: list, images) -> np.ndarray:
    """The script in a process that keeps freed memory."""
    return script(model, layers, images)


def exact(model, layers: list, images) -> np.ndarray:
    """The script in double precision."""
    return script(model.double(), layers, images)


def passes(model, layers: list, images) -> np.ndarray:
    """One forward and one backward pass per input and layer."""
    maps = []
    for image in images:
        found = []
        for n in layers:
            x = image.float()[None].requires_grad_()
            ((y, seed),) = run_to(model, [n], x)
            y.backward(seed)
            model.zero_grad()
            found.append(x.grad[0].abs().mean(0).numpy())
        maps.append(found)
    return np.array(maps)


def core(model, layers: list, images) -> np.ndarray:
    """This project's."""
    results = st_erf(model, images, layers, batch_size=1, keep_samples=True)
    return np.stack([results[n].samples[:, 0] for n in layers], axis=1)


def parts(model, layers: list, images, clock) -> list[float]:
    """Return the seconds of the script's forward pass, and of its backward passes, first layer first."""
    model.requires_grad_(False)
    x = images[0].float()[None].requires_grad_()
    times = [clock()]
    outputs = run_to(model, layers, x)
    times.append(clock())
    while outputs:
        y, seed = outputs.pop()
        torch.autograd.grad(y, x, seed, retain_graph=bool(outputs))
        times.append(clock())
    forward, *backward = np.diff(times)
    return [forward, *backward[::-1]]


def measure_one(args: argparse.Namespace) -> None:
    """Time one procedure with one model in this process; write its maps."""
    (name, *_), procedure = args.models, args.procedure or 'script'
    torch.set_num_threads(args.threads)
    model = build(name)
    work = globals()[procedure]
    if procedure in ('core', 'kept'):
        keep_freed_memory()
    work(model, MODELS[name], Noise(1, (3, 64, 64)))  # warm up
    images = Noise(1 if procedure == 'passes' else args.num, (3, args.size, args.size))
    clock = time.process_time if args.cpu else time.perf_counter
    if args.parts:
        script(model, MODELS[name], Noise(1, images.shape))  # warm up
        found = ' '.join(f'{seconds:.2f}' for seconds in parts(model, MODELS[name], images, clock))
        print(f'{name} {args.size}x{args.size}, forward pass and backward passes of the layers, s: {found}')
        return
    start = clock()
    maps = work(model, MODELS[name], images)
    seconds = (clock() - start) / len(images)
    np.save(args.out, maps)
    print(json.dumps({'seconds': seconds, 'mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def measured(name: str, procedure: str, args: argparse.Namespace, folder: str) -> tuple[dict, np.ndarray]:
    """Return seconds, memory and maps of a procedure, run in a process of its own."""
    file = Path(folder, f'{procedure}.npy')
    command = [sys.executable, '-W', 'ignore', __file__, '--models', name, '--procedure', procedure]
    numbers = ['--size', args.size, '--num', args.num, '--threads', args.threads, '--out', file] + ['--cpu'] * args.cpu
    text = subprocess.run(command + list(map(str, numbers)), check=True, stdout=subprocess.PIPE, text=True).stdout
    return json.loads(text.splitlines()[-1]), np.load(file)


def apart(maps: np.ndarray, others: np.ndarray) -> float:
    """Return the largest difference of maps (inputs, layers, H, W) as a part of the largest value of each."""
    others = others[: len(maps)]
    return float((np.abs(maps - others).max((2, 3)) / others.max((2, 3))).max())


def main() -> None:
    """Run all procedures with all models, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--size', type=int, default=1024, help='height and width (default 1024)')
    parser.add_argument('--num', type=int, default=3, help='inputs of (a) and (c) (default 3)')
    parser.add_argument('--models', nargs='+', default=list(MODELS), choices=MODELS, help='default: all')
    parser.add_argument('--threads', type=int, default=torch.get_num_threads(), help="torch threads (default: torch's)")
    parser.add_argument(
        '--cpu', action='store_true', help='count CPU seconds, for a machine that others use; with --threads 1'
    )
    parser.add_argument('--parts', action='store_true', help="only time the passes of one model's script")
    parser.add_argument('--procedure', choices=(*PROCEDURES, 'exact'), help=argparse.SUPPRESS)
    parser.add_argument('--out', help='also write the numbers to this JSON file')
    args = parser.parse_args()
    if args.procedure or args.parts:
        measure_one(args)
        return
    table, notes = {}, []
    clock = ' (CPU seconds)' * args.cpu
    print(f'{args.size}x{args.size}, 4 layers, {args.num} inputs, {args.threads} threads{clock}\n')
    print(
        '| model | script, s | MB | kept, s | MB | passes, s | MB | core, s | MB | script / core | kept / core | '
        'passes / core | difference |'
    )
    print('|' + 13 * '---|', flush=True)
    with tempfile.TemporaryDirectory() as folder, tqdm(total=4 * len(args.models), unit='process') as bar:
        for name in args.models:
            maps, rows = {}, {}
            for procedure in PROCEDURES:
                rows[procedure], maps[procedure] = measured(name, procedure, args, folder)
                bar.update()
            difference = max(apart(maps[p], maps['script']) for p in PROCEDURES)
            assert maps['script'].max((2, 3)).min() > 0
            if difference >= SAME:
                _, truth = measured(name, 'exact', args, folder)
                errors = {p: apart(maps[p], truth) for p in PROCEDURES}
                said = f'{name}, difference to the maps in double precision: '
                said += ', '.join(f'{p} {error:.1e}' for p, error in errors.items())
                notes.append(said)
                assert errors['core'] <= AS_GOOD * errors['script'], said
            table[name] = {**rows, 'difference': difference}
            cells = [f'{rows[p]["seconds"]:.1f} | {rows[p]["mb"]:.0f}' for p in PROCEDURES]
            ratios = [f'{rows[p]["seconds"] / rows["core"]["seconds"]:.1f}' for p in PROCEDURES[:3]]
            print(f'| {name} | {" | ".join(cells + ratios)} | {difference:.0e} |', flush=True)
    print(*notes, sep='\n')
    if args.out:
        replace_file(args.out, lambda path: path.write_text(json.dumps(table, indent=2) + '\n'))


if __name__ == '__main__':
    main()
