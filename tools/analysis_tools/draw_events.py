"""Draw an event recording as a GIF or MP4: draw_events.py FILE [CONFIG CHECKPOINT] [--out FILE.gif] [--help].

Brighter events are red, darker ones blue, on white. With a config and a checkpoint, predictions are drawn over them,
for windows of the config's length that end with each picture.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.engine import arguments, check_versions, command_line
from mmsterf.engine.cfg_options import add_cfg_options
from mmsterf.errors import InvalidInput

ENDINGS = ('.gif', '.mp4')
MOST = 0.05
"""Longest distance of pictures by default, seconds; of shorter recordings 20 pictures are drawn."""


def parse(argv: Optional[Sequence[str]] = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    seconds = arguments.number(above=0, most=1e6)
    add('file', type=arguments.file_name, metavar='FILE', help='recording')
    add('config', type=arguments.file_name, nargs='?', help='config whose test pipeline loads events')
    add('checkpoint', type=arguments.file_name, nargs='?', help='checkpoint file or URL')
    add('--out', type=arguments.file_name, help='GIF or MP4 (default: work_dirs/draw_events/FILE.gif)')
    add('--start', type=arguments.number(0), default=0, help='of the part that is drawn, from the first event, s')
    add('--length', type=seconds, help='of the part that is drawn, seconds (default: to the end)')
    add('--step', type=seconds, help='from picture to picture, seconds (default 0.05, or a 20th of what is drawn)')
    add('--window', type=seconds, help='how long an event is seen, seconds (default: as --step)')
    add('--fps', type=arguments.number(above=0, most=1000), default=20.0, help='pictures a second (default 20)')
    add('--sensor', type=arguments.side, nargs=2, metavar=('H', 'W'), help='of recordings that do not say it')
    add('--score', type=arguments.number(0, 1), default=0.3, help='least score to be drawn (default 0.3)')
    add('--device', type=arguments.device, help='cpu, cuda:0, ... (default: an accelerator if there is one)')
    add('--force', action='store_true', help='overwrite --out')
    add_cfg_options(parser)
    args = parser.parse_args(argv)
    if args.config and not args.checkpoint:
        parser.error('a config needs a checkpoint beside it')
    return args


@command_line()
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line."""
    args = parse(argv)
    check_versions(one_task=True)
    from tqdm import tqdm

    from mmsterf.engine.outputs import check_new_file
    from mmsterf.events import open_recording
    from mmsterf.inference.events import frames
    from mmsterf.inference.pictures import below, font_size, lines_of
    from mmsterf.inference.writing import Gif, Video

    out = Path(args.out or Path('work_dirs/draw_events', f'{Path(args.file).stem}.gif'))
    if out.suffix.lower() not in ENDINGS:
        raise InvalidInput(f'--out {out}: must end in {" or ".join(ENDINGS)}')
    check_new_file('--out', out, args.force)
    recording = open_recording(args.file)
    ends, step = _ends(args, recording)
    window = max(1, round(1e6 * args.window)) if args.window else step
    draw = _predicting(args) if args.config else _plain
    writer = None
    items = frames(args.file, ends, window, args.sensor)
    for item, end in zip(tqdm(items, total=len(ends), desc='draw', unit='picture', dynamic_ncols=True), ends):
        picture = draw(item)
        size, moment = font_size(*picture.shape[:2]), (end - recording.first) / 1e6
        text = f'{moment:.{3 if step < 50_000 else 2}f} s'
        picture = below(picture, lines_of([(None, text)], picture.shape[1], size, rows=1))
        writer = writer or (Gif if out.suffix.lower() == '.gif' else Video)(out, args.fps, picture)
        writer.add(picture)
    writer.end()
    print(
        f'{out}: {len(ends)} pictures of {window / 1000:g} ms, every {step / 1000:g} ms, played at '
        f'{args.fps * step / 1e6:.2g} times real time; {recording.count} events in '
        f'{(recording.last - recording.first) / 1e6:.6g} s'
    )


def _ends(args: argparse.Namespace, recording) -> tuple:
    """Ends of the windows, and their distance, microseconds."""
    start = recording.first + round(1e6 * args.start)
    stop = recording.last + 1
    if start >= stop:
        raise InvalidInput(
            f'--start {args.start:g}: the recording {args.file} ends after {(stop - recording.first) / 1e6:g} s'
        )
    stop = min(stop, start + round(1e6 * args.length)) if args.length else stop
    step = max(1, round(1e6 * args.step)) if args.step else min(round(1e6 * MOST), max(1, (stop - start) // 20))
    return range(start + step, stop + 1, step) or [stop], step


def _plain(item):
    from mmsterf.inference.pictures import zoom_of

    zoom = zoom_of(*item.image.shape[:2])
    return item.image[..., ::-1].repeat(zoom, 0).repeat(zoom, 1)


def _predicting(args: argparse.Namespace):
    """A function from an item to its picture with predictions."""
    from importlib import import_module

    from mmsterf.engine.checkpoints import allow_mmengine_checkpoints, check_checkpoint
    from mmsterf.engine.config import load_config
    from mmsterf.engine.dataset_parts import event_step
    from mmsterf.inference.predictor import TASKS, Predictor

    allow_mmengine_checkpoints()
    cfg = load_config(args.config, args.cfg_options)
    if event_step(cfg) is None:
        raise InvalidInput(f'{args.config}: its test pipeline has no mmsterf.LoadEvents')
    check_checkpoint(args.checkpoint)
    predictor = Predictor(cfg, args.checkpoint, args.device)
    results = import_module(f'mmsterf.inference.{TASKS[predictor.scope]}').Results(predictor, Path(), args.score)
    return lambda item: results.draw(item, predictor(item))


if __name__ == '__main__':
    main()
