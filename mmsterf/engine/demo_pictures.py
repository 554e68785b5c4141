"""The demo's figures: training curves, and scenes with what was found in them."""

import json
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import torch
from mmengine.runner import Runner
from mmengine.structures import PixelData

from mmsterf.erf import replace_file
from mmsterf.events.drawing import coloured

from .config import loads_sequences

matplotlib.use('Agg')
from matplotlib import pyplot as plt

ZOOM = 3
"""Scenes are drawn larger than they are, or labels would cover them."""

METRICS = {'coco/bbox_mAP_50': 'AP50 of boxes', 'coco/segm_mAP_50': 'AP50 of masks', 'mIoU': 'mIoU'}


def draw_curves(log_dir: Path, path: Path) -> None:
    """Draw losses and validation metrics over iterations, from mmengine's scalars in `log_dir`."""
    lines = [json.loads(line) for line in (log_dir / 'scalars.json').read_text().splitlines()]
    losses = [(line['iter'], line) for line in lines if 'loss' in line]
    keys = [key for key in losses[-1][1] if key == 'loss' or '.loss' in key or key.startswith('loss_')]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), constrained_layout=True)
    for key in keys:
        left.plot([i for i, _ in losses], [line[key] for _, line in losses], label=key, lw=2 if key == 'loss' else 1)
    left.set(xlabel='iteration', ylabel='loss', yscale='log', title='Training loss')
    per_epoch = {line['epoch']: line['iter'] for _, line in losses if 'epoch' in line}
    for key, name in METRICS.items():
        points = [(per_epoch.get(line['step'], line['step']), line[key]) for line in lines if key in line]
        if points:
            scale = 100 if key == 'mIoU' else 1
            right.plot([i for i, _ in points], [value / scale for _, value in points], 'o-', label=name)
    right.set(xlabel='iteration', ylim=(0, 1), title='Validation')
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, ncols=3, loc='upper center', bbox_to_anchor=(0.5, -0.15))
    _save(figure, path)


def draw_detections(runner: Runner, path: Path, num: int = 6, score: float = 0.3) -> None:
    """Draw `num` validation scenes, ground truth beside predictions above `score`.

    They are the first ones; of events, whose windows follow each other in a recording, evenly spread ones.
    """
    _draw(runner, path, num, _zoomed_detections, pred_score_thr=score)


def draw_segmentations(runner: Runner, path: Path, num: int = 6) -> None:
    """Draw the first `num` validation scenes, their label maps beside the predicted ones."""
    runner.visualizer.alpha = 0.7
    _draw(runner, path, num, _zoomed_segmentation, with_labels=False)


def _draw(runner: Runner, path: Path, num: int, zoomed, **options) -> None:
    model, dataset = runner.model.eval(), runner.val_dataloader.dataset
    runner.visualizer.dataset_meta = dataset.metainfo
    rows, axes = (num + 1) // 2, None
    spread = loads_sequences(runner.cfg)
    chosen = np.linspace(0, len(dataset) - 1, num).round().astype(int).tolist() if spread else range(num)
    for index, number in enumerate(chosen):
        item = dataset[number]
        with torch.no_grad():
            sample = model.test_step({'inputs': [item['inputs']], 'data_samples': [item['data_samples']]})[0]
        image, sample = zoomed(item['inputs'], sample.cpu())
        if axes is None:
            height = 0.3 + 3.8 * image.shape[0] / image.shape[1]
            figure, axes = plt.subplots(rows, 4, figsize=(16, height * rows), constrained_layout=True)
            for axis in axes.flat:
                axis.axis('off')
        for column, (title, truth) in enumerate((('ground truth', True), ('prediction', False))):
            runner.visualizer.add_datasample('scene', image, sample, draw_gt=truth, draw_pred=not truth, **options)
            axis = axes.flat[2 * index + column]
            axis.imshow(runner.visualizer.get_image())
            if index < 2:
                axis.set_title(title)
    if zoomed is _zoomed_segmentation:
        handles = [
            plt.Rectangle((0, 0), 1, 1, fc=np.divide(colour, 255), ec='k', label=name)
            for name, colour in zip(dataset.metainfo['classes'], dataset.metainfo['palette'])
        ]
        figure.legend(handles=handles, loc='outside lower center', ncols=len(handles), frameon=False)
    _save(figure, path)


def _zoomed_detections(image: torch.Tensor, sample) -> tuple:
    """Image, or picture of events, and sample `ZOOM` times as large as the scene, whatever the network's input was."""
    from mmdet.structures.mask import BitmapMasks

    for instances in (sample.gt_instances, sample.pred_instances):
        instances.bboxes = torch.as_tensor(getattr(instances.bboxes, 'tensor', instances.bboxes)) * ZOOM
        if 'masks' in instances:
            masks = instances.masks
            masks = masks.masks if isinstance(masks, BitmapMasks) else np.asarray(masks)
            instances.masks = masks.repeat(ZOOM, 1).repeat(ZOOM, 2).astype(bool)
    image = image.permute(1, 2, 0).numpy() if len(image) == 3 else coloured(image.numpy())
    size = [ZOOM * side for side in sample.ori_shape[::-1]]
    return cv2.resize(np.ascontiguousarray(image[..., ::-1]), size, interpolation=cv2.INTER_NEAREST), sample


def _zoomed_segmentation(image: torch.Tensor, sample) -> tuple:
    """Image and label maps `ZOOM` times as large as the label maps, whatever the network's input was."""
    size = [ZOOM * side for side in sample.gt_sem_seg.shape]
    larger = type(sample)()
    for name in ('gt_sem_seg', 'pred_sem_seg'):
        labels = getattr(sample, name).data.repeat_interleave(ZOOM, -2).repeat_interleave(ZOOM, -1)
        setattr(larger, name, PixelData(data=labels))
    # In grey, or the colours of the scene would mix with those of the classes.
    grey = image.float().mean(0).expand(1, 3, -1, -1)
    image = torch.nn.functional.interpolate(grey, size, mode='bilinear')[0]
    return image.permute(1, 2, 0).round().byte().numpy(), larger


def _save(figure, path: Path) -> None:
    replace_file(path, lambda file: figure.savefig(file, format='png', dpi=110))
    plt.close(figure)
