"""Plain spiking CNNs of random weights, their spatio-temporal effective receptive fields, and figures of them.

A network is a stack of (k x k convolution - batch norm - neuron) with one channel. The paper studies such stacks (Zhang
et al., NeurIPS 2025).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mmsterf.erf import STERF, Noise, calibrated, plots, st_erf
from mmsterf.snn import build_neuron

WITHOUT_TAU = ('IF',)
WITHOUT_SURROGATE = ('ILIF',)


def settings_of(lists: dict) -> dict[str, list[dict]]:
    """Return the settings of each study: the base, and those that differ from it in one list alone.

    Args:
        lists (dict): Values of 'depth', 'kernel', 'tau', 'neuron' and 'surrogate', the base's first.

    Returns:
        dict[str, list[dict]]: Settings by the name of the list that is gone through; lists of one value have none, but
        if all have one, all the same, 'depth' has it.

    Raises:
        ValueError: If the base neuron has none of what is to be varied.
    """
    base = {name: values[0] for name, values in lists.items()}
    for name, without in (('tau', WITHOUT_TAU), ('surrogate', WITHOUT_SURROGATE)):
        if len(lists[name]) > 1 and base['neuron'] in without:
            raise ValueError(
                f'{base["neuron"]} has no {name} to vary: give --{name}s one value, or let --neurons start with another'
            )
    varied = [name for name, values in lists.items() if len(values) > 1] or ['depth']
    studies = {name: [{**base, name: value} for value in lists[name]] for name in varied}
    return studies


def name_of(setting: dict) -> str:
    """Name of a setting, the same for settings that make the same networks."""
    parts = [f'depth {setting["depth"]}', f'{setting["kernel"]}x{setting["kernel"]}', setting['neuron']]
    if setting['neuron'] not in WITHOUT_TAU:
        parts.append(f'tau {setting["tau"]:g}')
    if setting['neuron'] not in WITHOUT_SURROGATE:
        parts.append(setting['surrogate'])
    return ' '.join(parts)


def network(setting: dict, time_steps: int, seed: int) -> nn.Sequential:
    """Build a network of (T*N, 1, H, W), time-major, to the same shape.

    Batch norms centre what enters a neuron on its threshold, where surrogate gradients are at their largest.
    """
    neuron = {'type': setting['neuron'], 'time_steps': time_steps}
    if neuron['type'] == 'PLIF' and setting['tau'] == 1:
        neuron['type'] = 'LIF'  # its limit: the learnable form has no finite weight there
    if setting['neuron'] not in WITHOUT_TAU:
        neuron['tau'] = setting['tau']
    if setting['neuron'] not in WITHOUT_SURROGATE:
        neuron['surrogate'] = {'type': setting['surrogate']}
    layers = []
    kernel = setting['kernel']
    for _ in range(setting['depth']):
        layers += [nn.Conv2d(1, 1, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(1), build_neuron(neuron)]
    model = nn.Sequential(*layers).double()
    generator = torch.Generator().manual_seed(seed)
    for module in model:
        if isinstance(module, nn.Conv2d):
            nn.init.normal_(module.weight, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.bias)
    return model


def average(setting: dict, num: int, size: tuple[int, int], time_steps: int, seed: int) -> tuple[STERF, int]:
    """ST-ERF of the last layer's last step, averaged over `num` networks, each with an input of its own.

    A map counts by its share: it is divided by its sum first, because gradients of random networks differ by orders of
    magnitude.

    Returns:
        tuple[STERF, int]: The average, and how many of the maps were empty: a neuron outside of the window of a
        surrogate of bounded support (Rect, PiecewiseQuadratic) has no receptive field.
    """
    maps = []
    how = {'time_steps': time_steps, 'input_time': 'folded'}
    for i in range(num):
        inputs = Noise(1, (time_steps, 1, *size), seed + i)
        model = calibrated(network(setting, time_steps, seed + i), inputs, **how)
        (result,) = st_erf(model, inputs, str(len(model) - 1), **how).values()
        maps.append(result.mean / (result.mean.sum() or 1))
    sem = np.std(maps, axis=0, ddof=1) / num**0.5 if num > 1 else np.full_like(maps[0], np.nan)
    empty = sum(not a.any() for a in maps)
    return replace(result, layer=name_of(setting), mean=np.mean(maps, axis=0), sem=sem, num=num), empty


def draw(study: str, results: dict, out: Path) -> None:
    """Draw the figures of one study."""
    note = 'RANDOM WEIGHTS (untrained)'
    plots.save(plots.delay_figure(results, title=f'ST-ERF of plain spiking CNNs by {study}', note=note), out / study)
    figures = {'profiles': plots.profile_figure, 'temporal': plots.temporal_figure}
    for name, figure in figures.items():
        plots.save(figure(results, f'Plain spiking CNNs by {study}: {name}', note), out / f'{study}_{name}')
