"""The demo's figures: training curves, and scenes with what was found in them."""

import json
from collections.abc import Callable
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np
import torch
from matplotlib.figure import Figure
from mmengine.runner import Runner
from PIL import Image

from mmsterf.engine.data_checks import named_palette
from mmsterf.engine.dataset_parts import dataset_leaves, loads_sequences
from mmsterf.erf import replace_file
from mmsterf.events.drawing import coloured
from mmsterf.inference.pictures import colours, lines_of
from mmsterf.palette import LINES

ZOOM = 3
"""Scenes are drawn larger than they are, or labels would cover them."""
TEXT, GAP = 26, 12
"""Pixels: text is legible where a page shows four scenes side by side."""
ROWS = 2
"""Lines of text below a label map."""

METRICS = {'coco/bbox_mAP_50': 'AP50 of boxes', 'coco/segm_mAP_50': 'AP50 of masks', 'mIoU': 'mIoU'}


def draw_curves(log_dir: Path, path: Path) -> None:
    """Draw losses and validation metrics over iterations, from mmengine's scalars in `log_dir`."""
    lines = [json.loads(line) for line in (log_dir / 'scalars.json').read_text().splitlines()]
    losses = [(line['iter'], line) for line in lines if 'loss' in line]
    keys = [key for key in losses[-1][1] if key == 'loss' or '.loss' in key or key.startswith('loss_')]
    figure = Figure(figsize=(9.4, 4), layout='constrained')
    left, right = figure.subplots(1, 2)
    dashes = cycle(('-', '--', ':'))
    for key, colour in zip(keys, cycle(LINES)):
        style = {'color': colour, 'lw': 2, 'ls': '-'} if key == 'loss' else {'color': colour, 'ls': next(dashes)}
        left.plot([i for i, _ in losses], [line[key] for _, line in losses], label=key, **style)
    left.set(xlabel='iteration', ylabel='loss', yscale='log', title='Training loss')
    per_epoch = {line['epoch']: line['iter'] for _, line in losses if 'epoch' in line}
    for (key, name), colour, mark in zip(METRICS.items(), LINES, 'osD'):
        points = [(per_epoch.get(line['step'], line['step']), line[key]) for line in lines if key in line]
        if points:
            scale = 100 if key == 'mIoU' else 1
            right.plot(
                [i for i, _ in points], [value / scale for _, value in points], label=name, color=colour, marker=mark
            )
    right.set(xlabel='iteration', ylim=(0, 1), title='Validation')
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend(frameon=False, ncols=2, fontsize=8, loc='upper center', bbox_to_anchor=(0.5, -0.15))
    replace_file(path, lambda file: figure.savefig(file, format='png', dpi=110))


def draw_detections(runner: Runner, path: Path, num: int = 6, score: float = 0.3) -> None:
    """Draw `num` validation scenes, ground truth beside predictions above `score`.

    They are the first ones; of events, whose windows follow each other in a recording, evenly spread ones.
    """
    from mmsterf.inference.det import draw_instances

    def draw(image: torch.Tensor, sample, truth: bool, classes, palette) -> np.ndarray:
        instances = sample.gt_instances if truth else sample.pred_instances
        if not truth:
            instances = instances[instances.scores >= score]
            instances = instances[instances.scores.argsort()]  # the best on top
        image = image.permute(1, 2, 0).numpy() if len(image) == 3 else coloured(image.numpy())
        scene = cv2.resize(np.ascontiguousarray(image[..., ::-1]), sample.ori_shape[::-1])
        return draw_instances(scene, instances, classes, palette, ZOOM, TEXT)

    _draw(runner, path, num, draw)


def draw_segmentations(runner: Runner, path: Path, num: int = 6) -> None:
    """Draw the first `num` validation scenes, their label maps beside the predicted ones."""
    from mmsterf.inference.seg import draw_labels

    def draw(image: torch.Tensor, sample, truth: bool, classes, palette) -> np.ndarray:
        labels = (sample.gt_sem_seg if truth else sample.pred_sem_seg).data[0].numpy()
        # In grey, or the colours of the scene would mix with those of the classes.
        grey = image.float().mean(0).round().byte()[..., None].expand(-1, -1, 3).numpy()
        scene = cv2.resize(np.ascontiguousarray(grey), labels.shape[::-1])
        return draw_labels(scene, labels, classes, palette, ZOOM, ROWS, TEXT)

    _draw(runner, path, num, draw)


def _draw(runner: Runner, path: Path, num: int, draw: Callable) -> None:
    """Let `draw` make pictures of scenes, ground truth and prediction, and put them side by side."""
    model, dataset = runner.model.eval(), runner.val_dataloader.dataset
    classes = [str(name) for name in dataset.metainfo['classes']]
    leaf = next(dataset_leaves(runner.cfg.val_dataloader.dataset))
    palette = colours(len(classes), named_palette(leaf, type(dataset)))
    cells = []
    spread = loads_sequences(runner.cfg)
    chosen = np.linspace(0, len(dataset) - 1, num).round().astype(int).tolist() if spread else range(num)
    for index in chosen:
        item = dataset[index]
        with torch.no_grad():
            sample = model.test_step({'inputs': [item['inputs']], 'data_samples': [item['data_samples']]})[0].cpu()
        cells += [draw(item['inputs'], sample, truth, classes, palette) for truth in (True, False)]
    heads = [lines_of([(None, title)], cells[0].shape[1], TEXT, rows=1) for title in ('ground truth', 'prediction')]
    rows = [(heads * 2)[: len(cells)], *(cells[i : i + 4] for i in range(0, len(cells), 4))]
    height = sum(row[0].shape[0] + GAP for row in rows)
    picture = np.full((height, len(rows[0]) * (cells[0].shape[1] + GAP) - GAP, 3), 255, np.uint8)
    top = 0
    for row in rows:
        for i, cell in enumerate(row):
            left = i * (cell.shape[1] + GAP)
            picture[top : top + cell.shape[0], left : left + cell.shape[1]] = cell
        top += row[0].shape[0] + GAP
    picture = Image.fromarray(picture[: top - GAP])
    replace_file(path, lambda file: picture.save(file, 'PNG'))
