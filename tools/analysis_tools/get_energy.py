"""Firing rates, operations and energy of any mmdet, mmseg or mmsterf config, and of the ANN of the same shape.

    python tools/analysis_tools/get_energy.py CONFIG [CHECKPOINT] [--input ...] [--help]

Prints a table and writes energy.json and energy.png to --out. Counts are exact: what docs/energy.md says.
"""

import argparse
import sys
from pathlib import Path
from typing import Callable, Optional

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.engine import arguments, check_versions, command_line
from mmsterf.engine.cfg_options import add_cfg_options
from mmsterf.engine.outputs import ResultFolder

EXAMPLES = """examples:
  get_energy.py configs/semantic_fpn_sdt_mlpixer_tiny.py work_dirs/run/iter_160000.pth --input dataset --num 50
  get_energy.py configs/mask_rcnn_sdt_srb.py --input street.jpg park.jpg --calibrate 1
  get_energy.py mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py --size 224 224
"""


def parse(argv: Optional[list[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__.split('\n\n')[0], epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('config', help='config file, or mmdet::... of an installed package')
    add('checkpoint', nargs='?', help='weights; random ones without it')
    add(
        '--input',
        nargs='+',
        default=['noise'],
        metavar='SOURCE',
        help='noise (default), dataset, or images, folders, globs and videos',
    )
    add(
        '--num',
        type=arguments.count,
        help='number of images (default 1; of images and videos at most 20, evenly spread)',
    )
    add(
        '--size',
        type=arguments.side,
        nargs=2,
        metavar=('H', 'W'),
        help="size of all images (default: the test pipeline's; without one, 224 224 or what the model takes)",
    )
    add('--mac', type=arguments.number(0), default=4.6, help='pJ of a multiply-accumulate (default 4.6: 45 nm)')
    add('--ac', type=arguments.number(0), default=0.9, help='pJ of a synaptic operation (default 0.9: 45 nm)')
    add('--fold', action='store_true', help='fold RepConv and batch norms into convolutions first')
    add(
        '--calibrate',
        type=arguments.whole(0, 10**6),
        default=0,
        metavar='N',
        help='set batch-norm statistics from N of the images first',
    )
    add('--seed', type=arguments.seed, default=0, help='of noise and of random weights (default 0)')
    add('--device', type=arguments.device, default='cpu', help='torch device (default cpu)')
    add('--out', type=Path, default=Path('work_dirs/energy'), help='folder (default work_dirs/energy)')
    add('--force', action='store_true', help='overwrite files in --out that this tool did not write')
    add_cfg_options(parser)
    return parser.parse_args(argv)


def passes(cfg, model, args: argparse.Namespace) -> list[Callable]:
    """One function per image, each of which runs a model on it as in testing.

    Raises:
        ValueError: If an input is not there or no image or video, or a source needs a test pipeline or data set that
            the config lacks.
    """
    import cv2
    import numpy as np
    import torch
    from mmengine.dataset import Compose, pseudo_collate
    from mmengine.registry import DATASETS, DefaultScope

    from mmsterf.analysis.features import run_features
    from mmsterf.analysis.pictures import loaded, prepared
    from mmsterf.analysis.shapes import input_shape, packed_channels, take_noise
    from mmsterf.engine.config import dataset_leaves
    from mmsterf.engine.inputs import Pictures

    num, pictures = args.num or 1, None
    if args.input not in (['noise'], ['dataset']):
        pictures = Pictures(args.input, args.num or 20)
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader')
    if not loader or not hasattr(model, 'test_step'):
        if args.input == ['dataset']:
            raise ValueError(f'{args.config} has no test_dataloader or no detector or segmentor: use --input noise')
        shape = input_shape(cfg, model, lambda m, x: m(x), size=args.size, input_time='image')
        if pictures:
            inputs = prepared(cfg, model, pictures, shape.size)
            images = [inputs[i][None] for i in range(len(inputs))]
            tell(inputs)
        else:
            generator = torch.Generator().manual_seed(args.seed)
            images = torch.randn(num, 1, shape.channels, *shape.size, generator=generator)
        _check(images[0].shape[-3], shape.channels, model)
        return [lambda m, x=x: m(x.to(args.device)) for x in images]
    leaf = next(iter(dataset_leaves(loader['dataset'])))
    if args.size:
        for step in leaf['pipeline']:
            if step['type'] == 'Resize':
                step.update(scale=tuple(args.size[::-1]), keep_ratio=False)
    channels = packed_channels(model, run_features)
    if args.input == ['noise']:
        take_noise(model, channels)
    with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmengine')):
        if args.input == ['dataset']:
            dataset = DATASETS.build(loader['dataset'])
            items = [dataset[i] for i in range(min(num, len(dataset)))]
        else:
            pipeline = Compose([s for s in leaf['pipeline'] if s['type'].split('.')[-1] not in _NEEDLESS])
            if pictures:
                grey = any(step.get('color_type') == 'grayscale' for step in leaf['pipeline'])
                images = [
                    (name, cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) if grey else image) for name, (image,) in pictures
                ]
                tell(pictures)
            else:
                size = (*(args.size or (224, 224)), channels)
                rng = np.random.default_rng(args.seed)
                images = [(f'noise {i}', rng.integers(0, 256, size, dtype=np.uint8)) for i in range(num)]
            items = [pipeline(loaded(name, image)) for name, image in images]
    _check(items[0]['inputs'].shape[-3], channels, model)
    return [lambda m, item=item: m.test_step(pseudo_collate([item])) for item in items]


# The image is there, and has no labels.
_NEEDLESS = ('LoadImageFromFile', 'LoadEvents', 'LoadSequence', 'LoadAnnotations', 'CheckLabelMap')


def tell(pictures) -> None:
    """Print what has to be said of pictures that were read."""
    for note in pictures.said():
        print(f'warning: {note}', file=sys.stderr)


def _check(channels: int, wanted: int, model) -> None:
    if channels != wanted:
        raise ValueError(
            f'images have {channels} channels, and the {type(model).__name__} takes {wanted}: use --input noise'
        )


def _try(cfg, model, args: argparse.Namespace, size: tuple) -> None:
    """Run a model on noise of a size."""
    import torch

    one = argparse.Namespace(**{**vars(args), 'size': size, 'num': 1, 'input': ['noise']})
    with torch.no_grad():
        passes(cfg, model, one)[0](model)


def measure(args: argparse.Namespace) -> tuple:
    """Return (layers by name, firing rates by neuron, facts) of a config."""
    import torch

    from mmsterf.analysis import FiringRates, OperationCounter
    from mmsterf.analysis.loading import load_model
    from mmsterf.analysis.shapes import sizes_of
    from mmsterf.erf import Noise, calibrated
    from mmsterf.erf.shapes import first_that_runs
    from mmsterf.snn import fold_norms

    cfg, model = load_model(args.config, args.checkpoint, args.seed, args.cfg_options)
    model.to(torch.device(args.device))
    if args.size:
        first_that_runs(
            lambda size: _try(cfg, model, args, size), args.size, sizes_of(cfg, model), type(model).__name__
        )
    runs = passes(cfg, model, args)
    weights = Path(args.checkpoint).name if args.checkpoint else f'RANDOM WEIGHTS (no checkpoint, seed {args.seed})'
    if args.calibrate:
        first = iter(runs[: args.calibrate])
        weights += f', batch norms calibrated on {min(args.calibrate, len(runs))} images'
        model = calibrated(model, Noise(min(args.calibrate, len(runs)), (3, 1, 1)), forward=lambda m, _: next(first)(m))
    if args.fold:
        model = fold_norms(model)
    with torch.no_grad(), FiringRates(model) as neurons, OperationCounter(model) as counter:
        for run in runs:
            run(model)
    facts = {
        'config': Path(args.config).name,
        'weights': weights,
        'input': args.input if args.input[0] in ('noise', 'dataset') else [Path(f).name for f in args.input],
        'num': len(runs),
        'params': sum(p.numel() for p in model.parameters()),
    }
    return counter.layers, neurons.rates(), facts


def row(layer, cost, images: int) -> dict:
    """One layer, or the total, per image."""
    from mmsterf.analysis import state_of

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


def report(rows: list[dict], total: dict) -> None:
    """Print the table."""
    width = max(len(r['layer']) for r in [*rows, total])
    print(
        f'\nper image\n{"layer":{width}}  {"reads":17} {"params":>9} {"ANN M MACs":>10} {"M MACs":>9} {"M ACs":>9} '
        f'{"rate":>7} {"uJ":>9} {"ANN uJ":>9}'
    )
    for r in [*rows, total]:
        rate = f'{r["firing_rate"]:7.2%}' if r['firing_rate'] == r['firing_rate'] else f'{"-":>7}'
        print(
            f'{r["layer"]:{width}}  {r["inputs"]:17} {r["params"]:9d} {r["ann_macs"] / 1e6:10.3f} '
            f'{r["macs"] / 1e6:9.3f} {r["acs"] / 1e6:9.3f} {rate} {r["energy_uJ"]:9.3f} {r["ann_energy_uJ"]:9.3f} '
            f'{r["state"]}'
        )


def shortened(names: list[str], most: int = 8) -> str:
    """Names in one line, the rest counted."""
    more = f' and {len(names) - most} more, see energy.json' if len(names) > most else ''
    return (', '.join(names[:most]) or 'none') + more


@command_line()
def main(argv: Optional[list[str]] = None) -> None:
    """Run the command line."""
    args = parse(argv)
    check_versions()
    folder = ResultFolder('--out', args.out, 'get_energy.py', args.force, names=('energy.json', 'energy.png'))
    layers, neurons, facts = measure(args)
    from mmsterf.analysis import Cost, state_of, totals
    from mmsterf.analysis.plots import energy_figure
    from mmsterf.erf import replace_file, write_json

    cost = Cost(args.mac, args.ac)
    rows = [row(layer, cost, facts['num']) for layer in layers.values()]
    total = {**row(totals(layers), cost, facts['num']), 'params': facts['params']}
    print(f'{facts["config"]}: {facts["weights"]}; {facts["num"]} x {" ".join(facts["input"])}')
    report(rows, total)
    states = {name: state_of(rate) for name, rate in neurons.items()}
    for state, meaning in (('dead', 'never fires'), ('saturated', 'nearly every slot fires')):
        names = [name for name, s in states.items() if s == state]
        if names:
            print(f'{len(names)} of {len(states)} neuron layers {state} ({meaning}): {shortened(names)}')
    analog = [r['layer'] for r in rows if r['macs']]
    print(f'read analog maps: {shortened(analog)}')
    ratio = total['ann_energy_uJ'] / total['energy_uJ'] if total['energy_uJ'] else float('nan')
    print(f'energy {total["energy_uJ"]:.3f} uJ, equal ANN {total["ann_energy_uJ"]:.3f} uJ: {ratio:.1f} times')
    if not args.checkpoint:
        dead = not args.calibrate and 'dead' in states.values()
        hint = '; without --calibrate, neurons are silent' if dead else ''
        print(f'weights are random: rates and energy are not those of a trained network{hint}')
    found = [{'neuron': name, 'firing_rate': rate, 'state': states[name]} for name, rate in neurons.items()]
    about = {**facts, 'pJ': cost._asdict(), 'total': total, 'neurons': found}
    with folder:
        write_json(args.out / 'energy.json', rows, about)
        note = '' if args.checkpoint else facts['weights']
        title = f'{facts["config"]}: {total["energy_uJ"]:,.1f} µJ per image, equal ANN {total["ann_energy_uJ"]:,.1f} µJ'
        figure = energy_figure(layers.values(), cost, facts['num'], title, note)
        replace_file(args.out / 'energy.png', lambda part: figure.savefig(part, dpi=150))
    print(f'written to {args.out}')


if __name__ == '__main__':
    main()
