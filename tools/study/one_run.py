"""Train and measure one run of a study: one_run.py FOLDER, which run.py has put a run.json into.

Leaves FOLDER/result.json. Started again after a kill, it goes on from the last checkpoint.
"""

import json
import os
import platform
import subprocess
import sys
import threading
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.engine import check_versions, command_line
from mmsterf.versions import REQUIRED

ROOT = Path(__file__).resolve().parents[2]
NOTHING_DETECTED = tuple(f'coco/bbox_mAP{end}' for end in ('', '_50', '_75', '_s', '_m'))
ANNOTATIONS = Path('coco/annotations/instances_val2017.json')
PACKAGES = ('torch', 'numpy', 'mmengine', 'mmcv', 'mmdet', 'mmsegmentation', 'spikingjelly')


class Clock:
    """CPU and wall seconds of a run over all its processes, one file each, so that a kill loses seconds at most."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.start = folder, time.time()
        self.file = folder / f'{int(self.start)}-{os.getpid()}.json'
        folder.mkdir(exist_ok=True)
        threading.Thread(target=self._tick, daemon=True).start()

    def _tick(self) -> None:
        while True:
            self._write()
            time.sleep(5)

    def _write(self) -> None:
        part = self.file.with_suffix(f'.{threading.get_ident()}')
        part.write_text(json.dumps({'cpu': time.process_time(), 'wall': time.time() - self.start}))
        os.replace(part, self.file)

    def totals(self) -> dict:
        """Seconds of all processes so far, and how many there were."""
        self._write()
        times = [json.loads(file.read_text()) for file in self.folder.glob('*.json')]
        return {
            'cpu_s': round(sum(t['cpu'] for t in times), 1),
            'wall_s': round(sum(t['wall'] for t in times), 1),
            'processes': len(times),
        }


def prepared(run: dict):
    """The config of a run with its scenes and its hooks, which measure and change nothing."""
    from measuring import hooks
    from mmengine.config import Config
    from study import config_of

    cfg = config_of(run, Config.fromfile(run['config']))
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), *hooks(run['iters'], cfg.model.backbone)]
    return cfg


def commit() -> str:
    """Commit of this checkout, with a + if it was changed; 'unknown' where there is no git."""
    git = lambda *a: subprocess.run(['git', '-C', str(ROOT), *a], capture_output=True, text=True, check=True).stdout  # noqa: E731
    try:
        return git('rev-parse', 'HEAD').strip() + ('+' if git('status', '--porcelain', '-uno').strip() else '')
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'


def run_one(folder: Path) -> None:
    """Train, evaluate, measure, write the result."""
    from measuring import activity, at_sizes, by_marks, in_training, receptive_fields
    from mmengine.dataset import pseudo_collate
    from study import MAKERS

    from mmsterf.analysis.features import Images
    from mmsterf.engine.cli import train
    from mmsterf.engine.resuming import find_checkpoint

    clock, at = Clock(folder / 'times'), commit()
    run = json.loads((folder / 'run.json').read_text())
    scenes = Path(run.pop('data_root'))
    os.environ[MAKERS[run['maker']]] = str(scenes)
    work_dir = folder / 'train'
    prepared(run).dump(folder / 'config.py')
    resume = ['--resume'] if find_checkpoint(str(work_dir)) else []
    runner = train([str(folder / 'config.py'), '--work-dir', str(work_dir), *resume])
    metrics = runner.val_loop.run()
    model, dataset = runner.model, runner.val_dataloader.dataset
    result = {
        **run,
        'config': Path(run['config']).name,
        # CocoMetric has no numbers where nothing at all was detected.
        'metrics': {k: float(v) for k, v in metrics.items()} or dict.fromkeys(NOTHING_DETECTED, 0.0),
        **receptive_fields(model, Images(dataset, model.data_preprocessor, run['erf_images'], None)),
        **activity(model, pseudo_collate([dataset[i] for i in range(min(run['erf_images'], len(dataset)))])),
        **({'at_sizes': at_sizes(runner, run['test_sizes'])} if run['test_sizes'] else {}),
        **({'marks': by_marks(runner, scenes / ANNOTATIONS)} if '--task far' in run['data_options'] else {}),
        'training': in_training(work_dir),
        'parameters': sum(p.numel() for p in model.parameters()),
        'backbone_parameters': sum(p.numel() for p in model.backbone.parameters()),
        **clock.totals(),
        'commit': at,
        'finished': time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
        'versions': {'python': platform.python_version(), **{name: _version(name) for name in PACKAGES}},
    }
    part = folder / 'result.json.part'
    part.write_text(json.dumps(result))
    os.replace(part, folder / 'result.json')


def _version(name: str) -> str:
    family = next((family for family in REQUIRED.values() if name in family), [name])
    for other in sorted(family, key=lambda other: other != name):
        try:
            return version(other) if other == name else f'{version(other)} of {other}'
        except PackageNotFoundError:
            continue
    return 'not installed'


@command_line('finished runs are kept')
def main() -> None:
    """Check the installed packages before they are imported, then run."""
    check_versions()
    run_one(Path(sys.argv[1]))


if __name__ == '__main__':
    main()
