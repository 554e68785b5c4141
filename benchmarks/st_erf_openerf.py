"""ST-ERF against the package openerf (PyPI), on models of its list, where the definitions of both agree.

    pip install openerf && python benchmarks/st_erf_openerf.py [--models resnet50 ...] [--num 4]

openerf takes ``relu(mean over colours of the gradient)`` of the mean of the central channels, one layer per run, and
scales the map to the sum 1. ``st_erf(signed=True)`` takes the mean over colours of the positive gradient of the
outputs' positive parts. Both are the same for layers that end in a ReLU if the first convolution treats all colours
alike; so its weights are replaced by their mean over colours. Weights are random, inputs are noise.
"""

import argparse
import time

import numpy as np
import torch
from openerf import erf as openerf
from tqdm import tqdm

from mmsterf.erf import Noise, st_erf

MODELS = {
    'resnet34': ['layer1', 'layer2', 'layer3', 'layer4'],
    'resnet50': ['layer1', 'layer2', 'layer3', 'layer4'],
    'resnext50_32x4d': ['layer1', 'layer2', 'layer3', 'layer4'],
    'resnet18': ['layer1', 'layer2', 'layer3', 'layer4'],
}


def build(name: str) -> torch.nn.Module:
    """Return a model of timm with random weights that treats all colours alike."""
    import timm

    torch.manual_seed(0)
    model = timm.create_model(name, pretrained=False).eval()
    first = next(m for m in model.modules() if isinstance(m, torch.nn.Conv2d))
    with torch.no_grad():
        first.weight.copy_(first.weight.mean(1, keepdim=True).expand_as(first.weight))
        for module in model.modules():  # timm starts the last gains of residual branches at zero
            if isinstance(module, torch.nn.BatchNorm2d):
                module.weight.fill_(1)
    return model


def theirs(model: torch.nn.Module, layers: list[str], images) -> list[np.ndarray]:
    """Maps of openerf, by its own function for one layer and image."""
    maps = []
    for layer in layers:
        module, total = openerf._get_module_by_name(model, layer), 0
        for image in images:
            x = image.float()[None].requires_grad_()
            total = total + openerf._compute_positive_input_gradients_from_layer(model, x, module, layer)
        maps.append(openerf._normalize_erf_map(total.numpy().astype(np.float64)))
    return maps


def ours(model: torch.nn.Module, layers: list[str], images) -> list[np.ndarray]:
    """Maps of this project, scaled as openerf's."""
    results = st_erf(model, images, layers, signed=True)
    return [openerf._normalize_erf_map(results[n].mean[0]) for n in layers]


def main() -> None:
    """Run both on every model; print times and the largest difference."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--models', nargs='+', default=list(MODELS), choices=MODELS, help='default: all')
    parser.add_argument('--num', type=int, default=4, help='inputs (default 4)')
    parser.add_argument('--size', type=int, default=224, help='height and width (default 224)')
    args = parser.parse_args()
    rows = []
    for name in tqdm(args.models, unit='model'):
        model, layers = build(name), MODELS[name]
        images = Noise(args.num, (3, args.size, args.size))
        found, seconds = [], []
        for run in (theirs, ours):
            run(model, layers, Noise(1, images.shape))  # warm up
            start = time.perf_counter()
            found.append(run(model, layers, images))
            seconds.append((time.perf_counter() - start) / args.num)
        difference = max(np.abs(a - b).max() / a.max() for a, b in zip(*found))
        assert difference < 1e-5, f'{name}: maps differ by {difference:.1e} of the largest value'
        rows.append(
            f'| {name} | {seconds[0]:.2f} | {seconds[1]:.2f} | {seconds[0] / seconds[1]:.1f} | {difference:.0e} |'
        )
    print(f'{args.size}x{args.size}, 4 layers, {torch.get_num_threads()} threads\n')
    print('| model | openerf, s per input | st_erf, s per input | faster | difference |\n|---|---|---|---|---|')
    print('\n'.join(rows))


if __name__ == '__main__':
    main()
