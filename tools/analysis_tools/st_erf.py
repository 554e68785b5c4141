"""Spatio-temporal effective receptive fields of any mmdet, mmseg or mmsterf config.

    python tools/analysis_tools/st_erf.py CONFIG [CHECKPOINT] [CONFIG [CHECKPOINT] ...] [--help]

Writes maps.npz, metrics.json, metrics.csv and figures (PNG, PDF) to --out; with several configs, each into its own
folder below, and a comparison.
"""

import argparse
import sys
from pathlib import Path
from typing import Optional

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.engine import arguments, check_versions, command_line
from mmsterf.engine.cfg_options import add_cfg_options

EXAMPLES = """examples:
  st_erf.py configs/semantic_fpn_sdt_srb.py work_dirs/srb/iter_160000.pth --layers 'backbone.stage3.*.attn.proj'
  st_erf.py conv.py conv.pth srb.py srb.pth --size 224 224 --num 50
  st_erf.py mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py --list-layers
"""


def parse(argv: Optional[list[str]] = None) -> argparse.Namespace:
    """Read the command line; `models` becomes a list of (config, checkpoint or None)."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n\n')[0], epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('models', nargs='+', metavar='CONFIG [CHECKPOINT]', help='config files (.py), each with its checkpoint or none')
    add(
        '--layers',
        nargs='+',
        help='names or patterns; `NAME:I` is output I of a tuple '
        "(default: the config's `st_erf_layers`, or the backbone's maps)",
    )
    add(
        '--axes',
        nargs='+',
        default=[],
        metavar='[PATTERN=]AXES[:TOKENS]',
        help='axes of outputs that cannot be told: NCHW, NHWC, NLC:5 (5 tokens in front of the grid), ... of all '
        "layers, or of those of a pattern, as 'backbone.*=NLC:1'",
    )
    add('--list-layers', action='store_true', help='print names and output shapes, and stop')
    add('--input', nargs='+', default=['noise'], metavar='SOURCE', help='noise (default), dataset, or image files')
    add('--num', type=arguments.count, default=20, help='number of inputs (default 20)')
    add(
        '--size',
        type=arguments.side,
        nargs=2,
        metavar=('H', 'W'),
        help='input size (noise: 224 224; images: that of the first)',
    )
    add('--position', nargs='+', default=['center'], help='center (default), two fractions, or a pixel: ROW COLUMN')
    add(
        '--time-steps',
        type=arguments.whole(1, 1000),
        help="steps T, each with a frame of its own (default: the backbone's, or 1)",
    )
    add('--input-time', default='auto', help='what the model takes: image, sequence or folded (default: by T)')
    add('--step', default='last', help='output step: last (default), all, sum, or an index')
    add('--batch-size', type=arguments.count, default=4, help='inputs per forward pass; bounds the memory (default 4)')
    add(
        '--calibrate',
        type=arguments.whole(0, 10**6),
        default=0,
        metavar='N',
        help='set batch-norm statistics from N inputs first',
    )
    add('--heads', action='store_true', help='run the dense heads too, so that their layers can be chosen')
    add('--seed', type=arguments.seed, default=0, help='of noise and of random weights (default 0)')
    add('--device', type=arguments.device, default='cpu', help='torch device (default cpu)')
    add('--out', type=Path, default=Path('work_dirs/st_erf'), help='folder (default work_dirs/st_erf)')
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    pairs: list = []
    for item in args.models:
        if item.endswith('.py'):
            pairs.append((item, None))
        elif pairs and pairs[-1][1] is None:
            pairs[-1] = (pairs[-1][0], item)
        else:
            parser.error(f'{item}: a config (.py) must come before its checkpoint, and each config has one at most')
    args.models = pairs
    args.axes = axes_of(args.axes)
    try:
        kind = float if any('.' in p for p in args.position) else int
        args.position = 'center' if args.position == ['center'] else tuple(map(kind, args.position))
        args.step = args.step if args.step in ('last', 'all', 'sum') else int(args.step)
    except ValueError as error:
        parser.error(
            f'--position takes center, two fractions or two integers, --step last, all, sum or an index: {error}'
        )
    return args


def axes_of(items: list[str]) -> dict:
    """Read --axes: axes, or axes and tokens in front, by layer pattern."""
    found = {}
    for item in items:
        pattern, _, order = item.rpartition('=')
        order, _, tokens = order.partition(':')
        found[pattern or '*'] = (order, int(tokens)) if tokens.isdecimal() else order + _ + tokens
    return found


def names_of(models: list[tuple]) -> list[str]:
    """Short, different names: the configs' stems, numbered where they repeat."""
    stems = [Path(config).stem for config, _ in models]
    return [s if stems.count(s) == 1 else f'{s}-{stems[:i].count(s) + 1}' for i, s in enumerate(stems)]


def analyse(config: str, checkpoint: Optional[str], args: argparse.Namespace, name: str):
    """Return (results by layer, facts) of one model; None if its layers were only listed."""
    import torch

    from mmsterf.analysis.features import default_layers, run_features, run_with_heads
    from mmsterf.analysis.loading import load_model, source_of
    from mmsterf.erf import calibrated, firing_rates, st_erf

    cfg, model = load_model(config, checkpoint, args.seed, args.cfg_options)
    model.to(torch.device(args.device))
    time_steps = args.time_steps or getattr(getattr(model, 'backbone', model), 'time_steps', 1)
    how = {'time_steps': time_steps, 'forward': run_with_heads if args.heads else run_features}
    how['input_time'] = ('sequence' if time_steps > 1 else 'image') if args.input_time == 'auto' else args.input_time
    if args.list_layers:
        list_layers(model, tuple(args.size or (224, 224)), axes=args.axes, **how)
        return None
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
    layers = args.layers or cfg.get('st_erf_layers') or default_layers(model, time_steps)
    notes: list[str] = []
    with bar(name) as progress:
        results = st_erf(
            model, inputs, layers, position=args.position, step=args.step, batch_size=args.batch_size, axes=args.axes,
            progress=progress, in_front_of_norms=not args.layers, notify=notes.append, **how,
        )  # fmt: skip
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

    shape = (3, *size) if input_time == 'image' else (time_steps, 3, *size)
    with untouched(model) as bare, torch.enable_grad():
        x = pack([Noise(1, shape)[0]], input_time, next(bare.parameters()))
        layers, _ = probe(bare, x, size, time_steps, axes, forward)
    width = max(map(len, layers), default=0)
    print(f'output shapes for one input of {size[0]} x {size[1]}')
    for name, layer in layers.items():
        tokens = f', {layer.prefix} in front' * bool(layer.prefix)
        guess = ' (a guess: --axes settles it)' * layer.guess
        print(f'{name:{width}}  {layer.shape!s:24} {layer.axes:6} {layer.grid[0]} x {layer.grid[1]}{tokens}{guess}')


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


def write(results: dict, facts: dict, name: str, out: Path) -> list[dict]:
    """Write files and figures of one model to a folder; return its metrics."""
    from mmsterf.erf import measure, plots, write_csv, write_json, write_maps

    rows = [measure(r) for r in results.values()]
    note = '' if facts['checkpoint'] else facts['weights']
    write_maps(out / 'maps.npz', results)
    write_json(out / 'metrics.json', rows, facts)
    write_csv(out / 'metrics.csv', rows)
    figures = {
        'overview': plots.overview_figure({name: results}, 'both', f'{name}: spatial ERF', note),
        'profiles': plots.profile_figure(results, f'{name}: profiles', note),
    }
    if max(len(r.mean) for r in results.values()) > 1:
        figures['delays'] = plots.delay_figure(results, title=f'{name}: ST-ERF by delay', note=note)
        figures['temporal'] = plots.temporal_figure(results, f'{name}: temporal ERF', note)
    for layer, result in results.items():
        title = f'{name}: {layer}'
        figures[f'layers/{layer.replace(":", "-")}'] = plots.layer_figure(result, title, note)
    for stem, figure in figures.items():
        plots.save(figure, out / stem)
    return rows


def report(rows: list[dict], name: str) -> None:
    """Print the main numbers of one model as a table."""
    width = max(len(r['layer']) for r in rows)
    columns = {'non-zero': 'nonzero', 'area 50 %': 'area_50', 'area 99 %': 'area_99', 'radius px': 'radius'}
    if any(r['half_life'] == r['half_life'] for r in rows):
        columns['half-life'] = 'half_life'
    print(f'\n{name}\n{"layer":{width}}' + ''.join(f'{title:>11}' for title in columns))
    for r in rows:
        numbers = ''.join(f'{r[key]:11.3f}' for key in columns.values())
        print(f'{r["layer"]:{width}}' + ('    cancels: its map is rounding error' if r['cancels'] else numbers))


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


if __name__ == '__main__':
    main()
