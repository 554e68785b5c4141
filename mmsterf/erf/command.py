"""The command line of ST-ERF at work."""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Optional, Union

from mmsterf.engine import check_versions, command_line
from mmsterf.engine.allocator import keep_freed_memory
from mmsterf.engine.outputs import ResultFolder, staged
from mmsterf.errors import InvalidInput

from . import plain, running
from .answer_command import run_targets
from .arguments import parse
from .compare import compare, comparison_lines
from .files import write_csv
from .gains import about_raised, with_unit_gains
from .given import load, weights_of
from .plain import Spec
from .results import report, write, write_comparison, write_report
from .shapes import timing


def names_of(models: list[tuple]) -> list[str]:
    """Short, different names: the configs' stems or the models' names, numbered where they repeat."""
    stems = [model.name if isinstance(model, Spec) else Path(model).stem for model, _ in models]
    return [s if stems.count(s) == 1 else f'{s}-{stems[:i].count(s) + 1}' for i, s in enumerate(stems)]


def analyse(model: Union[str, Spec], checkpoint: Optional[str], args: argparse.Namespace, name: str):
    """Return (results by layer, facts) of one model; None if its layers were only listed."""
    import torch

    from mmsterf.erf import calibrated, ending, firing_rates, st_erf
    from mmsterf.erf.metrics import replknet_ratios

    spec = model
    model, cfg, inputs_of = load(spec, checkpoint, args)
    model.to(torch.device(args.device))
    forward = running.run
    time_steps, input_time = timing(model, args.time_steps, args.input_time)
    layers = args.layers or cfg.get('st_erf_layers')
    if not isinstance(spec, Spec):
        from mmsterf.analysis.features import default_layers, run_features
        from mmsterf.analysis.heads import run_with_heads
        from mmsterf.analysis.stock import fill_caches

        if args.heads:
            fill_caches(model)
        forward = partial(run_with_heads, region=args.region) if args.heads else run_features
        layers = layers or default_layers(model, time_steps)
    how = {'time_steps': time_steps, 'input_time': input_time, 'forward': forward}
    short = {**how, 'forward': ending(model, layers, forward)} if layers and time_steps == 1 else how
    inputs = inputs_of(args.num, args.seed, **short)
    if args.list_layers:
        list_layers(model, inputs, args.axes, **how)
        return None
    if not layers:
        layers = plain.stages(usable_layers(model, inputs, args.axes, **how)[0])
        short = {**how, 'forward': ending(model, layers, forward)} if time_steps == 1 else how
    how = short
    weights = weights_of(spec, checkpoint, args, cfg)
    print(f'{name}: {weights}')
    if args.unit_gains:
        model, raised = with_unit_gains(model, inputs, **how)
        print(f'{name}: {about_raised(raised)}' if raised else f'{name}: no gains are zero')
        weights += f', {len(raised)} gains of zero taken as 1' * bool(raised)
    if args.calibrate:
        first = inputs_of(args.calibrate, args.seed + 1, **how)
        with bar(f'{name}: calibration') as progress:
            model = calibrated(model, first, progress=progress, **how)
        weights += f', batch norms calibrated on {len(first)} inputs'
    notes: list[str] = []
    if args.heads and args.region == 'predicted' and args.num > 1:
        notes.append('with --region predicted every input has a box of its own: --num 1 says which is meant')

    def run(signed: bool, notify=notes.append) -> dict:
        with bar(name) as progress:
            return st_erf(
                model, inputs, layers, position=args.position, step=args.step, batch_size=args.batch_size,
                memory=args.memory, axes=args.axes, progress=progress, in_front_of_norms=not args.layers, signed=signed,
                notify=notify, keep_samples=args.compare, **how,
            )  # fmt: skip

    results = run(args.signed)
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
        'config': Path(spec).name if isinstance(spec, str) else f'{Path(spec.source).name}:{spec.name}',
        'checkpoint': Path(checkpoint).name if checkpoint else None,
        'weights': weights if not checkpoint else weights.replace(checkpoint, Path(checkpoint).name),
        'input': args.input if args.input[0] in ('noise', 'dataset') else [Path(f).name for f in args.input],
        'seed': args.seed,
        'time_steps': time_steps,
        'position': args.position,
        'signed': args.signed,
    }
    if args.ratio:
        published = results if args.signed else run(True, lambda note: None)
        facts['replknet'] = {layer: replknet_ratios(result) for layer, result in published.items()}
    return results, facts


def compare_two(found: dict, args: argparse.Namespace) -> list[dict]:
    """Rows of `compare` for the two models."""
    (first, facts), (second, other) = found.values()
    # noise has one frame per step, pictures are the same ones for both
    paired = args.input != ['noise'] or facts['time_steps'] == other['time_steps']
    sizes = [next(iter(results.values())).mean.shape[1:] for results in (first, second)]
    if sizes[0] != sizes[1]:
        raise InvalidInput(
            f'--compare: the inputs of the two models are of {sizes[0][0]} x {sizes[0][1]} and {sizes[1][0]} x '
            f'{sizes[1][1]} pixels: give both one --size'
        )
    with bar('bootstrap') as progress:
        return compare(first, second, paired=paired, resamples=args.resamples, seed=args.seed, progress=progress)


def usable_layers(model, inputs, axes, time_steps: int, forward, input_time: str) -> tuple:
    """Layers of a model that have a receptive field, by name, found with the first input; and what stopped it."""
    import torch

    from mmsterf.erf import probe, untouched
    from mmsterf.erf.inputs import pack, samples_of

    stops = []

    def run(model, x) -> None:
        try:
            forward(model, x)
        except InvalidInput as error:  # an operator that is not there: what is in front of it can be analysed
            stops.append(error)

    first = next(samples_of([inputs[0]], input_time, time_steps)[0])
    with untouched(model) as bare, torch.enable_grad():
        x = pack([first], input_time, next(bare.parameters()))
        layers, _ = probe(bare, x, tuple(x.shape[-2:]), time_steps, axes, run)
    if stops and not layers:
        raise stops[0]
    return layers, stops


def list_layers(model, inputs, axes, **how) -> None:
    """Print the layers that have a receptive field, with output shape, axes and grid."""
    layers, stops = usable_layers(model, inputs, axes, **how)
    size = inputs[0].shape[-2:]
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
    keep_freed_memory()  # every input takes the same maps again
    if not all(isinstance(model, Spec) for model, _ in args.models):
        check_versions()
    folder = None if args.list_layers else ResultFolder('--out', args.out, 'st_erf.py', args.force)
    if args.target:
        run_targets(args, names_of(args.models), folder, argv)
        return
    found = {}
    for name, (model, checkpoint) in zip(names_of(args.models), args.models):
        found[name] = analyse(model, checkpoint, args, name)
    if args.list_layers:
        return
    compared = compare_two(found, args) if args.compare else []
    with folder, staged(args.out) as out:
        tables = {
            name: write(results, facts, name, out if len(found) == 1 else out / name)
            for name, (results, facts) in found.items()
        }
        if len(found) > 1:
            write_comparison(found, tables, out)
        if compared:
            write_csv(out / 'differences.csv', compared)
        if args.html:
            write_report(found, tables, compared, argv, out)
    for name, rows in tables.items():
        report(rows, name)
    if compared:
        print('', *comparison_lines(compared, list(found)), sep='\n')
    print(f'\nwritten to {args.out}')
