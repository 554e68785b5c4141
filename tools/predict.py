"""Predict for images, folders and videos: predict.py CONFIG CHECKPOINT INPUT... [--out DIR] [--help].

Detection, segmentation and classification, as the config says. Writes pictures (videos for videos), and
  detection: predictions.bbox.json and predictions.segm.json in COCO's result format, images.json with all ids
  segmentation: label_maps/NAME.png with the index of a class in each pixel, classes.json
  classification: predictions.json with the scores of all classes
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from mmsterf.engine import arguments, check_versions, command_line
from mmsterf.engine.cfg_options import add_cfg_options

EXAMPLES = """examples:
  predict.py configs/mask_rcnn_sdt_mlpixer_digits.py work_dirs/demo/iter_1500.pth photos/ 'more/*.png' --out predictions
  predict.py configs/semantic_fpn_sdt_mlpixer_digits.py work_dirs/demo_seg/iter_4000.pth drive.mp4 --every 5
"""


def parse(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('config', type=arguments.file_name, help='config file, or mmdet::... of an installed package')
    add('checkpoint', type=arguments.file_name, help='checkpoint file or URL, published ones too')
    add('inputs', type=arguments.file_name, nargs='+', metavar='INPUT', help='image, folder, pattern, video, recording')
    add('--out', type=arguments.file_name, help='folder of the results (default: work_dirs/predict/CONFIG)')
    add('--score', type=arguments.number(0, 1), default=0.3, help='least score to be drawn (default 0.3)')
    add('--every', type=arguments.count, default=1, help='of videos and recordings, every how many frames (default 1)')
    add('--sensor', type=arguments.side, nargs=2, metavar=('H', 'W'), help='of event recordings that do not say it')
    add('--device', type=arguments.device, help='cpu, cuda:0, ... (default: an accelerator if there is one)')
    add('--backend', choices=arguments.BACKENDS, default='torch', help='what runs the networks (default torch)')
    add('--precision', choices=('f32', 'bf16'), default='f32', help='of --backend openvino (default f32)')
    add('--force', action='store_true', help='overwrite files in --out')
    add_cfg_options(parser)
    return parser.parse_args(argv)


@command_line('the pictures and label maps that were done; no JSON files')
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line."""
    args = parse(argv)
    check_versions(one_task=True)
    from mmsterf.engine.allocator import keep_freed_memory
    from mmsterf.engine.checkpoints import allow_mmengine_checkpoints, check_checkpoint
    from mmsterf.engine.config import load_config
    from mmsterf.engine.dataset_parts import event_step
    from mmsterf.engine.outputs import ResultFolder
    from mmsterf.errors import InvalidInput
    from mmsterf.inference.items import Items

    if args.backend != 'torch' or args.precision != 'f32':
        from mmsterf.deploy import check_backend

        check_backend(args.backend, args.precision)
    keep_freed_memory()
    allow_mmengine_checkpoints()
    cfg = load_config(args.config, args.cfg_options)
    items = Items(args.inputs, args.every, event_step(cfg), args.sensor)
    check_checkpoint(args.checkpoint)
    out = Path(args.out or Path('work_dirs/predict', Path(args.config).stem))
    with ResultFolder('--out', out, 'predict.py', args.force):
        from mmsterf.inference.predictor import Predictor

        predictor = Predictor(cfg, args.checkpoint, args.device)
        if args.backend != 'torch':
            _use_backend(predictor, args, items)
        failed, number = _predict(predictor, items, out, args.score)
    if failed:
        if len(failed) == 1:
            raise InvalidInput(f'{failed[0]}; the other {number} inputs are done' if number else failed[0])
        for line in failed:
            print(line)
        raise InvalidInput(f'{len(failed)} of {len(failed) + number} inputs could not be read, see above')


def _use_backend(predictor, args: argparse.Namespace, items) -> None:
    """Let another runtime run the networks, exported with the first image that can be read."""
    item = next((item for item in items if not item.error), None)
    if item is not None:
        print(predictor.use_backend(args.backend, item, args.precision) + ', on the first image', flush=True)


def _predict(predictor, items, out: Path, score: float) -> tuple:
    """Predict for all that can be read; returns a line about each that cannot, and the number of the others."""
    from importlib import import_module

    from tqdm import tqdm

    from mmsterf.inference.predictor import TASKS
    from mmsterf.inference.writing import Pictures

    results = import_module(f'mmsterf.inference.{TASKS[predictor.scope]}').Results(predictor, out, score)
    failed, number, converted = [], 0, Counter()
    with Pictures(out / 'pictures') as pictures:
        for item in tqdm(items, total=items.total, desc='predict', unit='image', dynamic_ncols=True):
            if item.error:
                failed.append(item.error)
                continue
            converted[item.converted] += 1
            pictures.add(item, results.add(item, predictor(item)))
            number += 1
    del converted['']
    for kind, count in converted.items():
        print(f'converted to 8-bit BGR: {count} ({kind})')
    if number:
        print(results.write())
        print(f'{number} picture{"s" * (number > 1)}: results in {out}')
    return failed, number


if __name__ == '__main__':
    main()
