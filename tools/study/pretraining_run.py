"""One training of pretraining.py: pretraining_run.py FOLDER, which it has put a run.json into. Leaves result.json."""

import json
import os
import sys
import time
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.engine import check_versions, command_line

ROOT = Path(__file__).resolve().parents[2]
VALIDATIONS = 3


def config_of(run: dict):
    """The config of one training: the demo's, or its classifier's, shorter, and in one process.

    Args:
        run (dict): `config`, `iters`, `seed`, `options`, and `checkpoint`, of the classifier, or None.
    """
    from mmsterf.engine.config import load_config

    cfg, iters = load_config(str(ROOT / 'configs' / run['config'])), run['iters']
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=iters, val_interval=iters // VALIDATIONS)
    cfg.param_scheduler = [
        dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=30),
        dict(type='CosineAnnealingLR', by_epoch=False, begin=30, end=iters),
    ]
    cfg.log_processor = dict(by_epoch=False)
    cfg.default_hooks.checkpoint = dict(type='CheckpointHook', by_epoch=False, interval=iters, max_keep_ckpts=1)
    cfg.custom_hooks = [dict(type='mmsterf.TimesHook')]
    cfg.randomness = dict(seed=run['seed'])
    for split in ('train', 'val'):
        cfg[f'{split}_dataloader'].update(num_workers=0, persistent_workers=False)
    cfg.train_dataloader.dataset.pop('indices', None)
    if run['checkpoint']:
        cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=run['checkpoint'], prefix='backbone.')
    cfg.merge_from_dict(run['options'])
    return cfg


def run_one(folder: Path) -> None:
    """Train, and write what came of it."""
    from mmengine.hooks import Hook

    from mmsterf.engine.cli import train
    from mmsterf.registry import HOOKS
    from mmsterf.study.record import commit, versions, write_result

    @HOOKS.register_module()
    class TimesHook(Hook):
        """Notes the metrics of each validation, and the seconds of CPU that training took until then."""

        priority = 'VERY_LOW'
        points: list = []

        def before_train(self, runner) -> None:
            self.started = time.process_time()

        def before_val(self, runner) -> None:
            self.paused = time.process_time()

        def after_val_epoch(self, runner, metrics=None) -> None:
            numbers = {key: float(value) for key, value in (metrics or {}).items()}
            self.points.append({'iter': runner.iter, 'cpu_s': round(self.paused - self.started, 1), **numbers})

        def after_val(self, runner) -> None:
            self.started += time.process_time() - self.paused

    run, at = json.loads((folder / 'run.json').read_text()), commit()
    os.environ.update(run['folders'])
    config_of(run).dump(folder / 'config.py')
    train([str(folder / 'config.py'), '--work-dir', str(folder / 'train')])
    result = {**run, 'cpu_s': TimesHook.points[-1]['cpu_s'], 'points': TimesHook.points, 'commit': at, **versions()}
    write_result(folder / 'result.json', result)


@command_line('finished runs are kept')
def main() -> None:
    """Check the installed packages before they are imported, then run."""
    check_versions()
    run_one(Path(sys.argv[1]))


if __name__ == '__main__':
    main()
