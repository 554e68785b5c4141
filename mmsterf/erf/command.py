"""The command line of ST-ERF at work."""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Optional

from mmsterf.engine import check_versions, command_line
from mmsterf.errors import InvalidInput

from .arguments import parse
from .results import report, write


def names_of(models: list[tuple]) -> list[str]:
    """Short, different names: the configs' stems, numbered where they repeat."""
    stems = [Path(config).stem for config, _ in models]
    return [s if stems.count(s) == 1 else f'{s}-{stems[:i].count(s) + 1}' for i, s in enumerate(stems)]


def analyse(config: str, checkpoint: Optional[str], args: argparse.Namespace, name: str):
    """Return (results by layer, facts) of one model; None if its layers were only listed."""
    import torch

    from mmsterf.analysis.features import default_layers, run_features
    from mmsterf.analysis.heads import run_with_heads
    from mmsterf.analysis.loading import load_model, source_of
    from mmsterf.erf import calibrated, ending, firing_rates, st_erf

    cfg, model = load_model(config, checkpoint, args.seed, args.cfg_options)
    model.to(torch.device(args.device))
    time_steps = args.time_steps or getattr(getattr(model, 'backbone', model), 'time_steps', 1)
    forward = partial(run_with_heads, region=args.region) if args.heads else run_features
    how = {'time_steps': time_steps, 'forward': forward}
    how['input_time'] = ('sequence' if time_steps > 1 else 'image') if args.input_time == 'auto' else args.input_time
    if args.list_layers:
        list_layers(model, tuple(args.size or (224, 224)), axes=args.axes, **how)
        return None
    layers = args.layers or cfg.get('st_erf_layers') or default_layers(model, time_steps)
    if time_steps == 1:
        how['forward'] = ending(model, layers, forward)
    inputs = source_of(cfg, model, args.input, args.num, args.size, args.seed, time_steps, how['input_time'])
    weights = f'weights of {checkpoint}' if checkpoint else f'RANDOM WEIGHTS (no checkpoint, seed {args.seed})'
    print(f'{name}: {weights}')
    if args.calibrate:
        first = source_of(
            cfg, model, args.input, args.calibrate, args.size, args.seed + 1, time_steps, how['input_time']
        )
        with bar(f'{name}: calibration') as progress:
            model = calibrated(model, first, progress=progress, **how)
        weights += f', batch norms calibrated on {len(first)} inputs'
    notes: list[str] = []
    with bar(name) as progress:
        results = st_erf(
            model, inputs, layers, position=args.position, step=args.step, batch_size=args.batch_size, axes=args.axes,
            progress=progress, in_front_of_norms=not args.layers, notify=notes.append, **how,
        )  # fmt: skip
    notes += inputs.said() if hasattr(inputs, 'said') else []
    for note in notes:
        print(f'warning: {name}: {note}', file=sys.stderr)
    empty = [layer for layer, r in results.items() if not r.mean.any() and not r.cancels]
    if empty:
        rates = firing_rates(model, inputs[0], **how)
        quiet = sorted(rates, key=rates.get)[:3]
        about = ', '.join(f'{n} {rates[n]:.2%}' for n in quiet) if rates else 'no spiking layers found'
        silent = any(rates[n] == 0 for n in quiet)
        hint = (
            ' Random batch-norm statistics can silence them: try --calibrate 8' if silent and not args.calibrate else ''
        )
        print(
            f'warning: {name}: the receptive field of {", ".join(empty)} is empty. Share of firing neurons, '
            f'lowest layers: {about}.{hint}',
            file=sys.stderr,
        )
    facts = {
        'config': Path(config).name,
        'checkpoint': Path(checkpoint).name if checkpoint else None,
        'weights': weights if not checkpoint else weights.replace(checkpoint, Path(checkpoint).name),
        'input': args.input if args.input[0] in ('noise', 'dataset') else [Path(f).name for f in args.input],
        'seed': args.seed,
        'time_steps': time_steps,
        'position': args.position,
    }
    return results, facts


def list_layers(model, size, axes, time_steps, forward, input_time) -> None:
    """Print the layers that have a receptive field, with output shape, axes and grid."""
    import torch

    from mmsterf.erf import Noise, probe, untouched
    from mmsterf.erf.inputs import pack

    stops = []

    def run(model, x) -> None:
        try:
            forward(model, x)
        except InvalidInput as error:  # an operator that is not there: what is in front of it can be analysed
            stops.append(error)

    shape = (3, *size) if input_time == 'image' else (time_steps, 3, *size)
    with untouched(model) as bare, torch.enable_grad():
        x = pack([Noise(1, shape)[0]], input_time, next(bare.parameters()))
        layers, _ = probe(bare, x, size, time_steps, axes, run)
    if stops and not layers:
        raise stops[0]
    width = max(map(len, layers), default=0)
    print(f'output shapes for one input of {size[0]} x {size[1]}')
    for name, layer in layers.items():
        tokens = f', {layer.prefix} in front' * bool(layer.prefix)
        guess = ' (a guess: --axes settles it)' * layer.guess
        print(f'{name:{width}}  {layer.shape!s:24} {layer.axes:6} {layer.grid[0]} x {layer.grid[1]}{tokens}{guess}')
    if stops:
        print(f'the rest does not run: {stops[0]}')


class bar:
    """Progress bar with the remaining time, as the callback that the core takes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __enter__(self):
        from tqdm import tqdm

        self.tqdm = tqdm(desc=self.text, unit='map', dynamic_ncols=True)

        def progress(done: int, total: int) -> None:
            self.tqdm.total = total or None
            self.tqdm.update(done - self.tqdm.n)

        return progress

    def __exit__(self, *_) -> None:
        self.tqdm.close()


@command_line()
def main(argv: Optional[list[str]] = None) -> None:
    """Run the command line."""
    args = parse(argv)
    check_versions()
    found = {}
    for name, (config, checkpoint) in zip(names_of(args.models), args.models):
        found[name] = analyse(config, checkpoint, args, name)
    if args.list_layers:
        return
    from mmsterf.erf import plots, write_csv

    table = []
    for name, (results, facts) in found.items():
        rows = write(results, facts, name, args.out if len(found) == 1 else args.out / name)
        report(rows, name)
        table += [{'model': name, **row} for row in rows]
    if len(found) > 1:
        random = [name for name, (_, facts) in found.items() if not facts['checkpoint']]
        note = f'RANDOM WEIGHTS (no checkpoint): {", ".join(random)}' if random else ''
        note = 'RANDOM WEIGHTS (no checkpoints)' if len(random) == len(found) else note
        results = {name: r for name, (r, _) in found.items()}
        plots.save(plots.overview_figure(results, 'log', 'Spatial ERF', note), args.out / 'comparison')
        plots.save(plots.overview_figure(results, 'linear', 'Spatial ERF', note), args.out / 'comparison_linear')
        write_csv(args.out / 'metrics.csv', table)
    print(f'\nwritten to {args.out}')
