"""One run of a study: trained, evaluated, measured."""

import json
import os
import platform
import time
from pathlib import Path

from mmengine.config import Config
from mmengine.dataset import pseudo_collate

from mmsterf.analysis.features import Images
from mmsterf.engine.cli import train
from mmsterf.engine.resuming import find_checkpoint

from .measuring import activity, at_sizes, by_marks, hooks, in_training, receptive_fields
from .record import Clock, commit, versions, write_result
from .studies import MAKERS, config_of

NOTHING_DETECTED = tuple(f'coco/bbox_mAP{end}' for end in ('', '_50', '_75', '_s', '_m'))
ANNOTATIONS = Path('coco/annotations/instances_val2017.json')


def prepared(run: dict):
    """The config of a run with its scenes and its hooks, which measure and change nothing."""
    cfg = config_of(run, Config.fromfile(run['config']))
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), *hooks(run['iters'], cfg.model.backbone)]
    return cfg


def run_one(folder: Path) -> None:
    """Train, evaluate, measure, write the result.

    Args:
        folder: Has the run in `run.json`; gets `result.json`, and all else that the training writes.
    """
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
        'versions': {'python': platform.python_version(), **versions()},
    }
    write_result(folder / 'result.json', result)
