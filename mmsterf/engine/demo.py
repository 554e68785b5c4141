"""What `make demo` does once its data are there: train, evaluate before and after, draw."""

import json
import shutil
from pathlib import Path
from typing import Optional

import matplotlib
import numpy as np
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.runner import Runner

from mmsterf.erf import replace_file

from .checkpoints import allow_mmengine_checkpoints
from .checks import check_model
from .cli import make_resumable
from .config import load_config
from .data import check_data
from .device import adapt_to_device

matplotlib.use('Agg')
from matplotlib import pyplot as plt

ZOOM = 3
"""Scenes are drawn larger than they are, or labels would cover them."""


def run(config: str, data: Path, work_dir: Path, epochs: Optional[int] = None) -> dict:
    """Train and evaluate `config` on the digit scenes below `data`, and draw the results into `work_dir`.

    Args:
        config (str): Detection config.
        data (Path): Folder that make_digit_scenes.py has made.
        work_dir (Path): Folder of the results.
        epochs (int, optional): Length of training.

    Returns:
        dict: CocoMetric's values 'before' and 'after' training.
    """
    options = {'data_root': f'{data / "coco"}/', 'work_dir': str(work_dir)}
    cfg = load_config(config, options)
    if epochs:
        cfg.train_cfg.max_epochs = epochs
        cfg.train_cfg.val_interval = min(cfg.train_cfg.val_interval, epochs)
    check_data(cfg, ('train', 'val'))
    allow_mmengine_checkpoints()
    make_resumable(cfg)
    adapt_to_device(cfg, 'none')
    runner = Runner.from_cfg(cfg)
    check_model(runner.model)

    metrics = {'before': runner.val()}
    runner.train()
    metrics['after'] = runner.val()
    replace_file(work_dir / 'metrics.json', lambda file: Path(file).write_text(json.dumps(metrics, indent=2)))
    log_dir = Path(runner.visualizer.get_backend('LocalVisBackend')._save_dir)
    draw_curves(log_dir, work_dir / 'curves.png')
    for figure in log_dir.glob('vis_image/st_erf_*.png'):  # by STERFHook, at the end of training
        replace_file(work_dir / 'st_erf.png', lambda file, figure=figure: shutil.copy(figure, file))
    draw_predictions(runner, work_dir / 'predictions.png')
    report(metrics, work_dir)
    return metrics


def report(metrics: dict, work_dir: Path) -> None:
    """Print what was made, and box and mask AP and AP50 last."""
    made = sorted(path.name for path in work_dir.glob('*.png'))
    print(f'\n{work_dir}: {", ".join(made)}')
    for when, values in metrics.items():
        kinds = {'box': 'bbox', 'mask': 'segm'}
        text = (
            f'{name} AP {values[f"coco/{key}_mAP"]:.3f} AP50 {values[f"coco/{key}_mAP_50"]:.3f}'
            for name, key in kinds.items()
        )
        print(f'{when:>6} training: {", ".join(text)}')


def draw_curves(log_dir: Path, path: Path) -> None:
    """Draw loss and AP50 over iterations, from mmengine's scalars in `log_dir`."""
    lines = [json.loads(line) for line in (log_dir / 'scalars.json').read_text().splitlines()]
    losses = [(line['iter'], line) for line in lines if 'loss' in line]
    per_epoch = {line['epoch']: line['iter'] for _, line in losses}
    aps = [(per_epoch.get(line['step'], 0), line) for line in lines if 'coco/bbox_mAP_50' in line]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), constrained_layout=True)
    for key in ('loss', 'loss_rpn_cls', 'loss_cls', 'loss_bbox', 'loss_mask'):
        left.plot([i for i, _ in losses], [line[key] for _, line in losses], label=key, lw=2 if key == 'loss' else 1)
    left.set(xlabel='iteration', ylabel='loss', yscale='log', title='Training loss')
    for key, name in (('bbox', 'boxes'), ('segm', 'masks')):
        right.plot([i for i, _ in aps], [line[f'coco/{key}_mAP_50'] for _, line in aps], 'o-', label=name)
    right.set(xlabel='iteration', ylabel='AP50', ylim=(0, 1), title='Validation AP50')
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend(frameon=False)
    _save(figure, path)


def draw_predictions(runner: Runner, path: Path, num: int = 6, score: float = 0.3) -> None:
    """Draw the first `num` validation scenes, ground truth beside predictions above `score`."""
    model, dataset = runner.model.eval(), runner.val_dataloader.dataset
    runner.visualizer.dataset_meta = dataset.metainfo
    rows = (num + 1) // 2
    figure, axes = plt.subplots(rows, 4, figsize=(16, 4.1 * rows), constrained_layout=True)
    for axis in axes.flat:
        axis.axis('off')
    for index in range(num):
        item = dataset[index]
        with torch.no_grad():
            sample = model.test_step({'inputs': [item['inputs']], 'data_samples': [item['data_samples']]})[0]
        image = item['inputs'].permute(1, 2, 0).flip(-1).numpy()
        image = image.repeat(ZOOM, 0).repeat(ZOOM, 1)
        sample = _zoomed(sample)
        for column, (title, truth) in enumerate((('ground truth', True), ('prediction', False))):
            runner.visualizer.add_datasample(
                'scene', image, sample, draw_gt=truth, draw_pred=not truth, pred_score_thr=score
            )
            axis = axes.flat[2 * index + column]
            axis.imshow(runner.visualizer.get_image())
            if index < 2:
                axis.set_title(title)
    _save(figure, path)


def _zoomed(sample: DetDataSample) -> DetDataSample:
    """The sample on an image `ZOOM` times as large."""
    sample = sample.cpu()
    for instances in (sample.gt_instances, sample.pred_instances):
        instances.bboxes = torch.as_tensor(getattr(instances.bboxes, 'tensor', instances.bboxes)) * ZOOM
        masks = instances.masks
        masks = masks.masks if isinstance(masks, BitmapMasks) else np.asarray(masks)
        instances.masks = masks.repeat(ZOOM, 1).repeat(ZOOM, 2).astype(bool)
    return sample


def _save(figure, path: Path) -> None:
    replace_file(path, lambda file: figure.savefig(file, format='png', dpi=110))
    plt.close(figure)
