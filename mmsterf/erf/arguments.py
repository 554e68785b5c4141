"""The command line of ST-ERF, one for `mmsterf-erf`, `python -m mmsterf.erf` and tools/analysis_tools/st_erf.py."""

import argparse
import sys
from pathlib import Path
from typing import Optional

from mmsterf.engine import arguments
from mmsterf.engine.cfg_options import add_cfg_options
from mmsterf.errors import InvalidInput

from .answers import parse_target
from .compare import FEWEST
from .plain import KINDS, Spec, spec_of

DESCRIPTION = 'Spatio-temporal effective receptive fields of any mmdet, mmseg or mmsterf config, or PyTorch model.'
EXAMPLES = """examples:
  mmsterf-erf configs/semantic_fpn_sdt_srb.py work_dirs/srb/iter_160000.pth --layers 'backbone.stage3.*.attn.proj'
  mmsterf-erf conv.py conv.pth srb.py srb.pth --size 224 224 --num 50
  mmsterf-erf mmdet::faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py --list-layers
  mmsterf-erf --model timm:resnet50 weights.pth --input photos/ clip.mp4
  mmsterf-erf --model 'my_model.py:make(width=8)' --time-steps 4 --layers 'blocks.*'
mmsterf-erf, python -m mmsterf.erf and tools/analysis_tools/st_erf.py are the same.
"""


def parse(argv: Optional[list[str]] = None) -> argparse.Namespace:
    """Read the command line; `models` becomes a list of (config or `Spec`, checkpoint or None)."""
    parser = argparse.ArgumentParser(
        prog='mmsterf-erf' if sys.argv[0].endswith('__main__.py') else None,
        description=DESCRIPTION,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('models', nargs='*', metavar='MODEL [CHECKPOINT]', help='as --model')
    add(
        '--model',
        nargs='+',
        action='append',
        default=[],
        metavar=('MODEL', 'CHECKPOINT'),
        help=f'config (.py, or package::config), {KINDS}; behind it its checkpoint; several are compared',
    )
    add(
        '--weights',
        choices=('random', 'config'),
        default='random',
        help='without a checkpoint: random (default), or those that the config names, which may be a download',
    )
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
    add(
        '--input',
        nargs='+',
        default=['noise'],
        metavar='SOURCE',
        help='noise (default), dataset, or images, folders, globs and videos, of which --num are taken, evenly spread',
    )
    add('--mean', type=arguments.number(), nargs='+', help='RGB mean of images of 0 to 255, for plain models')
    add('--std', type=arguments.number(above=0), nargs='+', help='their standard deviation')
    add('--num', type=arguments.count, default=20, help='number of inputs (default 20)')
    add(
        '--size',
        type=arguments.side,
        nargs=2,
        metavar=('H', 'W'),
        help='input size (noise: 224 224, or what the model takes; images: that of the test pipeline)',
    )
    add('--position', nargs='+', default=['center'], help='center (default), two fractions, or a pixel: ROW COLUMN')
    add(
        '--time-steps',
        type=arguments.whole(1, 1000),
        help="steps T, each with a frame of its own (default: the backbone's, or 1)",
    )
    add('--input-time', default='auto', help='what the model takes: image, sequence or folded (default: by T)')
    add('--step', default='last', help='output step: last (default), all, sum, or an index')
    add(
        '--batch-size',
        type=arguments.count,
        default=4,
        help='most inputs per forward pass (default 4); fewer where they would take more than --memory',
    )
    add(
        '--memory', type=arguments.number(above=0), metavar='GIB', help='memory for a batch (default: half of the free)'
    )
    add(
        '--calibrate',
        type=arguments.whole(0, 10**6),
        default=0,
        metavar='N',
        help='set batch-norm statistics from N inputs first',
    )
    add(
        '--unit-gains',
        action='store_true',
        help='take gains of norms and layer scales that are zero, as in fresh residual branches, as 1',
    )
    add('--heads', action='store_true', help='run the heads too, so that their layers can be chosen')
    add(
        '--region',
        nargs='+',
        default=['image'],
        help='what heads of regions of interest look at: image (default), predicted (the best box of each input), or a '
        'box in pixels: TOP LEFT BOTTOM RIGHT',
    )
    add(
        '--target',
        nargs='+',
        type=target,
        metavar='ANSWER',
        help='in place of layers, what moved an answer: box:BEST, box:INDEX (0 is the best), class:NAME, '
        'pixel:ROW,COL or pixel:ROW,COL,CLASS, each in every input',
    )
    add(
        '--signed',
        action='store_true',
        help='positive parts of the gradient, of layers also of their outputs, as RepLKNet takes them '
        '(default: absolute values)',
    )
    add(
        '--ratio',
        action='store_true',
        help="print RepLKNet's high-contribution areas, by its own definition, beside ours (a second analysis, "
        'unless --signed)',
    )
    add(
        '--compare',
        action='store_true',
        help='of two models: the difference of each metric, with bootstrap intervals over the inputs',
    )
    add(
        '--resamples',
        type=arguments.whole(20, 10**6),
        default=1000,
        help='of the bootstrap of --compare (default 1000)',
    )
    add('--html', action='store_true', help='also write report.html: all of it in one file, with maps to zoom into')
    add('--seed', type=arguments.seed, default=0, help='of noise and of random weights (default 0)')
    add('--device', type=arguments.device, default='cpu', help='torch device (default cpu)')
    add('--out', type=Path, default=Path('work_dirs/st_erf'), help='folder (default work_dirs/st_erf)')
    add('--force', action='store_true', help='overwrite files in --out that this tool did not write')
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    args.models = pairs_of([*args.models, *(item for items in args.model for item in items)], parser)
    if any(isinstance(m, Spec) for m, _ in args.models) and (
        args.cfg_options or args.heads or args.weights == 'config'
    ):
        parser.error(
            '--cfg-options, --heads and --weights config are for configs: plain models take weights by a checkpoint or '
            'an argument, as timm:NAME(pretrained=True)'
        )
    if args.weights == 'config' and all(checkpoint for _, checkpoint in args.models):
        parser.error('--weights config: every model has a checkpoint, which takes the place of what its config names')
    del args.model
    args.axes = axes_of(args.axes)
    args.region = region_of(args.region, parser)
    if args.compare and (len(args.models) != 2 or args.target or args.list_layers or args.num < FEWEST):
        parser.error(
            f'--compare takes two models and at least {FEWEST} inputs, and neither --target nor --list-layers, got '
            f'{len(args.models)} model{"s" * (len(args.models) != 1)} and --num {args.num}'
        )
    try:
        kind = float if any('.' in p for p in args.position) else int
        args.position = 'center' if args.position == ['center'] else tuple(map(kind, args.position))
        args.step = args.step if args.step in ('last', 'all', 'sum') else int(args.step)
    except ValueError as error:
        parser.error(
            f'--position takes center, two fractions or two integers, --step last, all, sum or an index: {error}'
        )
    return args


def region_of(words: list[str], parser: argparse.ArgumentParser):
    """Read --region: a name, or four pixels."""
    if words in (['image'], ['predicted']):
        return words[0]
    if len(words) != 4 or not all(w.isdecimal() for w in words):
        parser.error(f'--region takes image, predicted, or TOP LEFT BOTTOM RIGHT in pixels, got {" ".join(words)}')
    return tuple(map(int, words))


def pairs_of(items: list[str], parser: argparse.ArgumentParser) -> list[tuple]:
    """Return (config or `Spec`, checkpoint or None) for every model."""
    if not items:
        parser.error(f'no model: give a config or --model {KINDS}')
    pairs: list = []
    for item in items:
        try:
            model = spec_of(item) or (item if item.endswith('.py') else None)
        except InvalidInput as error:
            parser.error(str(error))
        if model:
            pairs.append((model, None))
        elif pairs and pairs[-1][1] is None:
            pairs[-1] = (pairs[-1][0], item)
        else:
            parser.error(
                f'{item}: a model must come before its checkpoint, and each has one at most; models are configs '
                f'(.py), {KINDS}'
            )
    return pairs


def target(text: str) -> str:
    """A valid --target."""
    try:
        parse_target(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def axes_of(items: list[str]) -> dict:
    """Read --axes: axes, or axes and tokens in front, by layer pattern."""
    found = {}
    for item in items:
        pattern, _, order = item.rpartition('=')
        order, _, tokens = order.partition(':')
        found[pattern or '*'] = (order, int(tokens)) if tokens.isdecimal() else order + _ + tokens
    return found
