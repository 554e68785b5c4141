"""Own pictures in three commands: a config for a folder, a training of so many minutes, predictions.

`make demo-own DATA=FOLDER` runs it. Everything goes to work_dirs/demo_own: my_config.py, checkpoints, and the folder
predictions. Without a folder it takes the COCO folder of the digit scenes, and makes it if it is not there.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

from mmsterf.engine import arguments, check_versions, command_line
from mmsterf.errors import InvalidInput

TOOLS = Path(__file__).resolve().parent
METRICS = {
    'det': {'coco/bbox_mAP_50': 'box AP50', 'coco/segm_mAP_50': 'mask AP50'},
    'seg': {'mIoU': 'mIoU', 'aAcc': 'pixels'},
    'cls': {'accuracy/top1': 'top-1'},
}
TIMED = 5  # iterations of which the last three are timed


@command_line('what is in the work dir; `tools/train.py CONFIG --resume --work-dir DIR` goes on from a checkpoint')
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the three commands."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('data', nargs='?', metavar='DATA', type=arguments.file_name, help='folder of own pictures')
    parser.add_argument('--task', choices=list(METRICS), default='det', help='what to learn (default: %(default)s)')
    parser.add_argument(
        '--minutes', type=arguments.number(0.1, 10**5), default=10, help='length of training (default: %(default)s)'
    )
    parser.add_argument('--work-dir', type=arguments.file_name, default='work_dirs/demo_own', help='folder of results')
    args = parser.parse_args(argv)
    check_versions()
    from mmsterf.engine.config import load_config
    from mmsterf.engine.outputs import check_writable

    work_dir = Path(args.work_dir)
    check_writable('--work-dir', work_dir)
    if args.data is None:
        if args.task != 'det':
            raise InvalidInput('DATA: without it there are the digit scenes in COCO form, which are for --task det')
        args.data = 'data/digit_scenes/coco'
        scenes = TOOLS / 'dataset_converters' / 'make_digit_scenes.py'
        _run(scenes, '--out', 'data/digit_scenes', '--train', 3200, '--val', 120)
    work_dir.mkdir(parents=True, exist_ok=True)
    config = work_dir / 'my_config.py'
    make = [
        'init_config.py',
        args.data,
        '--task',
        args.task,
        '--out',
        config,
        '--data-out',
        work_dir / 'data',
        '--force',
    ]
    _run(*make)
    full = load_config(str(config)).max_iters
    seconds = _seconds(config)
    iters = max(1, min(full, int(args.minutes * 60 / seconds)))
    print(f'{seconds:.2f} s for an iteration here: {iters} iterations take about {iters * seconds / 60:.2g} minutes')
    if iters < full:
        _run(*make, '--iters', iters, '--quick')
    _run('train.py', config, '--work-dir', work_dir)
    cfg = load_config(str(config))
    _run(
        'predict.py', config, work_dir / f'iter_{cfg.max_iters}.pth', *_pictures(cfg),
        '--out', work_dir / 'predictions', '--force',
    )  # fmt: skip
    numbers = _numbers(work_dir, METRICS[args.task])
    print(f'on {len(_pictures(cfg))} pictures that were not trained on: {numbers}')
    print(f'pictures: {work_dir / "predictions"}')


def _run(tool, *options) -> None:
    """Run a tool as a user does; it says by itself what is wrong."""
    command = [str(TOOLS / tool), *map(str, options)]
    print('\n$', Path(command[0]).name, *(command[1:6]), *(['...'] * (len(command) > 6)), flush=True)
    if status := subprocess.run([sys.executable, *command]).returncode:
        sys.exit(status)


def _seconds(config: Path) -> float:
    """Time of an iteration of training, from a few in a folder that is thrown away."""
    with tempfile.TemporaryDirectory() as folder:
        options = [f'train_cfg.max_iters={TIMED}', 'default_hooks.logger.interval=1', 'train_cfg.val_interval=1000']
        command = [TOOLS / 'train.py', config, '--work-dir', folder, '--cfg-options', *options]
        done = subprocess.run([sys.executable, *map(str, command)], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr.strip().splitlines()[-1])
        (file,) = Path(folder).rglob('scalars.json')
        lines = [json.loads(line) for line in file.read_text().splitlines()]
    times = [line['time'] for line in lines if 'loss' in line]
    # The logged time is the mean of all iterations so far.
    return (times[-1] * TIMED - times[1] * 2) / (TIMED - 2)


def _pictures(cfg) -> list:
    """The first pictures of the validation set."""
    from mmsterf.engine.data_reading import build_dataset
    from mmsterf.engine.dataset_parts import dataset_leaves

    (leaf,) = dataset_leaves(cfg.val_dataloader.dataset)
    dataset = build_dataset({**leaf, 'test_mode': True}, cfg)
    dataset.full_init()
    return [dataset.get_data_info(index)['img_path'] for index in range(min(24, len(dataset)))]


def _numbers(work_dir: Path, names: dict) -> str:
    """The last metrics of training, as a line."""
    file = max(work_dir.rglob('scalars.json'), key=lambda path: path.stat().st_mtime)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    last = next((line for line in reversed(lines) if set(names) & set(line)), {})
    return ', '.join(f'{name} {last[key]:.3g}' for key, name in names.items() if key in last) or 'no numbers'


if __name__ == '__main__':
    main()
