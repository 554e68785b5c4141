"""What `make demo` and `make demo-seg` do once their data are there: train, evaluate before and after, draw."""

import json
import shutil
from copy import deepcopy
from pathlib import Path
from typing import Optional

from mmengine.runner import Runner

from mmsterf.erf import replace_file

from .checkpoints import allow_mmengine_checkpoints
from .cli import checked_runner, make_resumable
from .config import load_config, replace_data_root
from .data import check_data
from .demo_pictures import draw_curves, draw_detections, draw_segmentations
from .device import adapt_to_device
from .orphans import end_with_parent
from .work_dir import held, set_aside

DATA = {'mmdet': 'coco', 'mmseg': 'ade'}
"""Folders of the digit scenes by task."""


def run(config: str, data: Path, work_dir: Path, length: Optional[int] = None) -> dict:
    """Train and evaluate `config` on the digit scenes below `data`, and draw the results into `work_dir`.

    Args:
        config (str): Detection or segmentation config.
        data (Path): Folder that make_digit_scenes.py has made.
        work_dir (Path): Folder of the results.
        length (int, optional): Length of training, in epochs (detection) or iterations (segmentation).

    Returns:
        dict: Metrics 'before' and 'after' training.
    """
    cfg = load_config(config)
    cfg.work_dir = str(work_dir)
    replace_data_root(cfg, f'{data}/{DATA[cfg.default_scope]}')
    if length:
        cfg.train_cfg['max_epochs' if 'max_epochs' in cfg.train_cfg else 'max_iters'] = length
        cfg.train_cfg.val_interval = min(cfg.train_cfg.val_interval, length)
        cfg.default_hooks.logger.interval = min(cfg.default_hooks.logger.interval, length)
    users = deepcopy(cfg)
    check_data(cfg, ('train', 'val'))
    allow_mmengine_checkpoints()
    end_with_parent()
    make_resumable(cfg)
    adapt_to_device(cfg, 'none')
    with held(cfg.work_dir):
        with set_aside(cfg):
            runner = checked_runner(cfg, users)
        return _run(runner, work_dir)


def _run(runner: Runner, work_dir: Path) -> dict:
    metrics = {'before': runner.val()}
    runner.train()
    metrics['after'] = runner.val()
    metrics = {when: {key: float(value) for key, value in values.items()} for when, values in metrics.items()}
    replace_file(work_dir / 'metrics.json', lambda file: Path(file).write_text(json.dumps(metrics, indent=2)))
    log_dir = Path(runner.visualizer.get_backend('LocalVisBackend')._save_dir)
    draw_curves(log_dir, work_dir / 'curves.png')
    for figure in log_dir.glob('vis_image/st_erf_*.png'):  # by STERFHook, at the end of training
        replace_file(work_dir / 'st_erf.png', lambda file, figure=figure: shutil.copy(figure, file))
    draw = draw_detections if runner.cfg.default_scope == 'mmdet' else draw_segmentations
    draw(runner, work_dir / 'predictions.png')
    report(metrics, work_dir)
    return metrics


def report(metrics: dict, work_dir: Path) -> None:
    """Print what was made, and last box and mask AP and AP50, or mIoU as a fraction, before and after."""
    made = sorted(path.name for path in work_dir.glob('*.png'))
    print(f'\n{work_dir}: {", ".join(made)}')
    for when, values in metrics.items():
        if 'mIoU' in values:
            text = [f'mIoU {values["mIoU"] / 100:.3f}, pixels {values["aAcc"] / 100:.3f}']
        else:
            kinds = {'box': 'bbox', 'mask': 'segm'}
            text = (
                f'{name} AP {values[f"coco/{key}_mAP"]:.3f} AP50 {values[f"coco/{key}_mAP_50"]:.3f}'
                for name, key in kinds.items()
            )
        print(f'{when:>6} training: {", ".join(text)}')
