"""Energy and firing rates of a config: measured, and as rows, lines and files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Optional

import torch

from mmsterf.erf import Noise, calibrated, replace_file, write_json
from mmsterf.erf.shapes import first_that_runs
from mmsterf.snn import fold_norms

from .energy import Cost, LayerCost, OperationCounter, totals
from .firing import FiringRates, state_of
from .loading import load_model
from .passes import Source, passes, runs_on
from .plots import energy_figure
from .shapes import sizes_of

_STATES = {'dead': 'never fires', 'saturated': 'nearly every slot fires'}


class Energy:
    """What a config's model does per image, counted while it runs.

    Args:
        config (str): Config file, or ``mmdet::...`` of an installed package.
        checkpoint (str, optional): Weights; random ones without it.
        source (Source): Images.
        options (dict, optional): As of `--cfg-options`.
        fold (bool): Fold RepConv and batch norms into convolutions first.
        calibrate (int): Of how many of the images to set batch-norm statistics first.
        cost (Cost, optional): Energy of an operation; 45 nm by default.

    Attributes:
        rows (list[dict]): One for each layer, per image.
        total (dict): The same for all of them.
        neurons (list[dict]): Firing rate and state of each layer of neurons.
        facts (dict): What was measured, on what.
    """

    def __init__(
        self,
        config: str,
        checkpoint: Optional[str],
        source: Source,
        options: Optional[dict] = None,
        *,
        fold: bool = False,
        calibrate: int = 0,
        cost: Optional[Cost] = None,
    ) -> None:
        cfg, model = load_model(config, checkpoint, source.seed, options)
        model.to(torch.device(source.device))
        if source.size:
            first_that_runs(
                lambda size: runs_on(cfg, model, source, size), source.size, sizes_of(cfg, model), type(model).__name__
            )
        runs = passes(cfg, model, source)
        self.random = not checkpoint
        weights = Path(checkpoint).name if checkpoint else f'RANDOM WEIGHTS (no checkpoint, seed {source.seed})'
        self.calibrated = min(calibrate, len(runs))
        if calibrate:
            first = iter(runs[:calibrate])
            weights += f', batch norms calibrated on {self.calibrated} images'
            model = calibrated(model, Noise(self.calibrated, (3, 1, 1)), forward=lambda m, _: next(first)(m))
        if fold:
            model = fold_norms(model)
        with torch.no_grad(), FiringRates(model) as neurons, OperationCounter(model) as counter:
            for run in runs:
                run(model)
        self.facts = {
            'config': Path(config).name,
            'weights': weights,
            'input': source.names if source.names[0] in ('noise', 'dataset') else [Path(f).name for f in source.names],
            'num': len(runs),
            'params': sum(p.numel() for p in model.parameters()),
        }
        self.layers, self.cost = counter.layers, (cost := cost or Cost())
        self.rows = [row(layer, cost, len(runs)) for layer in counter.layers.values()]
        self.total = {**row(totals(counter.layers), cost, len(runs)), 'params': self.facts['params']}
        self.neurons = [
            {'neuron': name, 'firing_rate': rate, 'state': state_of(rate)} for name, rate in neurons.rates().items()
        ]

    def write(self, folder: Path) -> None:
        """Write energy.json and energy.png."""
        about = {**self.facts, 'pJ': self.cost._asdict(), 'total': self.total, 'neurons': self.neurons}
        write_json(folder / 'energy.json', self.rows, about)
        energy, ann = self.total['energy_uJ'], self.total['ann_energy_uJ']
        title = f'{self.facts["config"]}: {energy:,.1f} µJ per image, equal ANN {ann:,.1f} µJ'
        note = self.facts['weights'] if self.random else ''
        figure = energy_figure(self.layers.values(), self.cost, self.facts['num'], title, note)
        replace_file(folder / 'energy.png', lambda part: figure.savefig(part, dpi=150))

    def lines(self) -> Iterator[str]:
        """The table, and what is to be said of it."""
        facts, total = self.facts, self.total
        yield f'{facts["config"]}: {facts["weights"]}; {facts["num"]} x {" ".join(facts["input"])}'
        yield from table([*self.rows, total])
        for state, meaning in _STATES.items():
            names = [neuron['neuron'] for neuron in self.neurons if neuron['state'] == state]
            if names:
                yield f'{len(names)} of {len(self.neurons)} neuron layers {state} ({meaning}): {shortened(names)}'
        yield f'read analog maps: {shortened([r["layer"] for r in self.rows if r["macs"]])}'
        ratio = total['ann_energy_uJ'] / total['energy_uJ'] if total['energy_uJ'] else float('nan')
        yield f'energy {total["energy_uJ"]:.3f} uJ, equal ANN {total["ann_energy_uJ"]:.3f} uJ: {ratio:.1f} times'
        if self.random:
            dead = not self.calibrated and any(neuron['state'] == 'dead' for neuron in self.neurons)
            hint = '; without --calibrate, neurons are silent' if dead else ''
            yield f'weights are random: rates and energy are not those of a trained network{hint}'


def row(layer: LayerCost, cost: Cost, images: int) -> dict:
    """One layer, or the total, per image."""
    return {
        'layer': layer.name,
        'kind': layer.kind,
        'inputs': ' x '.join(layer.inputs),
        'params': layer.params,
        'ann_macs': layer.ann_macs / images,
        'macs': layer.macs / images,
        'acs': layer.acs / images,
        'firing_rate': layer.rate,
        'state': state_of(layer.rate) if layer.slots else '',
        'energy_uJ': layer.energy(cost) / images * 1e-6,
        'ann_energy_uJ': layer.ann_energy(cost) / images * 1e-6,
    }


def table(rows: Sequence[dict]) -> Iterator[str]:
    """Rows as lines, below a heading."""
    width = max(len(r['layer']) for r in rows)
    yield (
        f'\nper image\n{"layer":{width}}  {"reads":17} {"params":>9} {"ANN M MACs":>10} {"M MACs":>9} {"M ACs":>9} '
        f'{"rate":>7} {"uJ":>9} {"ANN uJ":>9}'
    )
    for r in rows:
        rate = f'{r["firing_rate"]:7.2%}' if r['firing_rate'] == r['firing_rate'] else f'{"-":>7}'
        yield (
            f'{r["layer"]:{width}}  {r["inputs"]:17} {r["params"]:9d} {r["ann_macs"] / 1e6:10.3f} '
            f'{r["macs"] / 1e6:9.3f} {r["acs"] / 1e6:9.3f} {rate} {r["energy_uJ"]:9.3f} {r["ann_energy_uJ"]:9.3f} '
            f'{r["state"]}'
        )


def shortened(names: list[str], most: int = 8) -> str:
    """Names in one line, the rest counted."""
    more = f' and {len(names) - most} more, see energy.json' if len(names) > most else ''
    return (', '.join(names[:most]) or 'none') + more
