"""What the demos do once their data are there: train, evaluate before and after, draw."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Optional

from mmengine.config import Config
from mmengine.runner import Runner

from mmsterf.engine.allocator import keep_freed_memory
from mmsterf.engine.checkpoints import allow_mmengine_checkpoints
from mmsterf.engine.cli import checked_runner, make_resumable
from mmsterf.engine.config import load_config
from mmsterf.engine.data import check_data
from mmsterf.engine.dataset_parts import replace_data_root
from mmsterf.engine.device import adapt_to_device
from mmsterf.engine.orphans import end_with_parent
from mmsterf.engine.resuming import find_checkpoint
from mmsterf.engine.work_dir import held, set_aside
from mmsterf.erf import replace_file

from .pictures import draw_curves, draw_detections, draw_segmentations


def pretrain(config: str, pictures: Path, work_dir: Path, length: Optional[int] = None) -> tuple:
    """Train the classifier `config` on the pictures of single digits below `pictures`.

    Args:
        config (str): Classification config.
        pictures (Path): Folder that make_digit_scenes.py --task cls has made.
        work_dir (Path): Folder of the checkpoint.
        length (int, optional): Iterations of training.

    Returns:
        tuple: Checkpoint (str), and metrics on validation pictures (dict).
    """
    cfg = _load(config, f'{pictures}/cls', work_dir, length)
    with _runner(cfg) as runner:
        runner.train()
        metrics = runner.val()
    return find_checkpoint(cfg.work_dir), metrics


def run(
    config: str, data: Path, work_dir: Path, length: Optional[int] = None, pretraining: Optional[tuple] = None
) -> dict:
    """Train and evaluate `config` on the scenes below `data`, and draw the results into `work_dir`.

    Args:
        config (str): Detection or segmentation config.
        data (Path): Folder that make_digit_scenes.py or make_event_scenes.py has made; the config says what of it.
        work_dir (Path): Folder of the results.
        length (int, optional): Length of training, in epochs or iterations, as the config counts.
        pretraining (tuple, optional): What `pretrain` returned, for the backbone to start from.

    Returns:
        dict: Metrics 'before' and 'after' training, and of 'pretraining'.
    """
    cfg = _load(config, None, work_dir, length)
    replace_data_root(cfg, f'{data}/{Path(cfg.train_dataloader.dataset.data_root).name}')
    metrics = {}
    if pretraining:
        checkpoint, metrics['pretraining'] = pretraining
        cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.')
    with _runner(cfg) as runner:
        return _run(runner, work_dir, metrics)


def _load(config: str, data_root: Optional[str], work_dir: Path, length: Optional[int]) -> Config:
    """A config with the demo's folders and length."""
    cfg = load_config(config)
    cfg.work_dir = str(work_dir)
    if data_root:
        replace_data_root(cfg, data_root)
    if length:
        cfg.train_cfg['max_epochs' if 'max_epochs' in cfg.train_cfg else 'max_iters'] = length
        cfg.train_cfg.val_interval = min(cfg.train_cfg.val_interval, length)
        cfg.default_hooks.logger.interval = min(cfg.default_hooks.logger.interval, length)
    return cfg


@contextmanager
def _runner(cfg: Config) -> Iterator[Runner]:
    """The runner of a config, checked as by the tools, its folder held."""
    keep_freed_memory()
    users = deepcopy(cfg)
    check_data(cfg, ('train', 'val'))
    allow_mmengine_checkpoints()
    end_with_parent()
    make_resumable(cfg)
    adapt_to_device(cfg, 'none')
    with held(cfg.work_dir):
        with set_aside(cfg):
            runner = checked_runner(cfg, users)
        yield runner


def _run(runner: Runner, work_dir: Path, metrics: dict) -> dict:
    metrics['before'] = runner.val()
    runner.train()
    metrics['after'] = runner.val()
    metrics = {when: {key: float(value) for key, value in values.items()} for when, values in metrics.items()}
    replace_file(work_dir / 'metrics.json', lambda file: Path(file).write_text(json.dumps(metrics, indent=2)))
    log_dir = Path(runner.visualizer.get_backend('LocalVisBackend')._save_dir)
    draw_curves(log_dir, work_dir / 'curves.png')
    for figure in log_dir.glob('vis_image/st_erf*.png'):  # by STERFHook, at the end of training
        name = figure.stem.rpartition('_')[0]
        replace_file(work_dir / f'{name}.png', lambda file, figure=figure: shutil.copy(figure, file))
    draw = draw_detections if runner.cfg.default_scope == 'mmdet' else draw_segmentations
    draw(runner, work_dir / 'predictions.png')
    return metrics


def report(metrics: dict, work_dir: Path) -> None:
    """Print what was made, and last box and mask AP and AP50, or mIoU as a fraction, before and after."""
    made = sorted(path.name for path in work_dir.iterdir() if path.suffix in ('.png', '.gif'))
    print(f'\n{work_dir}: {", ".join(made)}')
    metrics = dict(metrics)
    if pretraining := metrics.pop('pretraining', None):
        print(f'   pretraining: {pretraining["accuracy/top1"] / 100:.3f} of single digits told right')
    for when, values in metrics.items():
        if 'mIoU' in values:
            text = [f'mIoU {values["mIoU"] / 100:.3f}, pixels {values["aAcc"] / 100:.3f}']
        else:
            masks = any('segm' in key for key in metrics['after'])
            kinds = {'box': 'bbox', **({'mask': 'segm'} if masks else {})}
            # CocoMetric has no numbers where nothing at all was detected.
            text = (
                f'{name} AP {values.get(f"coco/{key}_mAP", 0):.3f} AP50 {values.get(f"coco/{key}_mAP_50", 0):.3f}'
                for name, key in kinds.items()
            )
        print(f'{when:>6} training: {", ".join(text)}')
