"""What a run measures beside accuracy: receptive fields, firing, saturation, operations, during training and after."""

import json
import math
from pathlib import Path

import torch
from mmengine.hooks import Hook

from mmsterf.analysis import FiringRates, OperationCounter, state_of
from mmsterf.analysis.energy import totals
from mmsterf.analysis.features import run_features
from mmsterf.erf import measure, same_randomness, st_erf
from mmsterf.registry import HOOKS
from mmsterf.snn.operations import spikes_of

ERF_METRICS = ('area_50', 'area_99', 'centre_share', 'radius', 'nonzero', 'entropy_coverage')
TIMES = 8
"""Firing and saturation are measured so often during training."""
ERF_TIMES, ERF_IMAGES = 3, 2
"""So often, and on so many images, are receptive fields measured during training."""


class Saturation(FiringRates):
    """Counts, beside firing rates, the neurons that send the most spikes they can: they tell no more from less."""

    def __init__(self, model) -> None:
        super().__init__(model)
        self._full: dict = {}

    def _add(self, name, neuron, output) -> None:
        super()._add(name, neuron, output)
        gain, slots, _ = spikes_of(neuron)
        full, number = self._full.get(name, (0, 0))
        self._full[name] = (full + int((output.detach() >= gain * (slots - 0.5)).sum()), number + output.numel())

    def share(self, names) -> float:
        """Share of saturated neurons, over layers, positions and images; None without any layer."""
        counts = [self._full[name] for name in names if name in self._full]
        return sum(full for full, _ in counts) / sum(number for _, number in counts) if counts else None


def attention_outputs(names) -> list:
    """Of names of neurons, those that read the products of attention."""
    return [name for name in names if '.attn.' in name and name.endswith('proj.conv.neuron')]


@HOOKS.register_module()
class SaturationHook(Hook):
    """Writes the shares of saturated neurons, of all and of attention's outputs, every `interval` iterations."""

    priority = 'LOW'

    def __init__(self, interval: int) -> None:
        self.interval, self._measured = interval, None

    def before_train_iter(self, runner, batch_idx, data_batch=None) -> None:
        """Start counting in the last iteration of an interval."""
        if (runner.iter + 1) % self.interval == 0:
            self._measured = Saturation(runner.model)
            self._measured.__enter__()

    def after_train_iter(self, runner, batch_idx, data_batch=None, outputs=None) -> None:
        """Write what was counted."""
        if self._measured is None:
            return
        self._measured.__exit__()
        rates, step = self._measured.rates(), runner.iter + 1
        shares = {'all': self._measured.share(rates), 'attention': self._measured.share(attention_outputs(rates))}
        self._measured = None
        runner.visualizer.add_scalars({f'saturated/{k}': v for k, v in shares.items() if v is not None}, step)


def hooks(iters: int, backbone: dict) -> list:
    """Hooks of a training of so many iterations."""
    every = max(iters // TIMES, 1)
    early = [f'backbone.stage{stage}.{depth - 1}' for stage, depth in zip(('1a', '1b'), backbone['arch']['depths'])]
    return [
        {'type': 'mmsterf.FiringRateHook', 'interval': every},
        {'type': 'mmsterf.SaturationHook', 'interval': every},
        {
            'type': 'mmsterf.STERFHook', 'by_epoch': False, 'interval': max(iters // ERF_TIMES, 1),
            'inputs': 'val', 'num': ERF_IMAGES, 'layers': early,
        },
    ]  # fmt: skip


def in_training(work_dir: Path) -> list:
    """What the hooks wrote during training, a dict per iteration that has anything.

    `mean` and `attention_rate` are firing rates, `saturated` and `attention_saturated` shares of saturated neurons,
    `erf` is {stage: {metric: number}}.
    """
    found: dict = {}
    for file in sorted(work_dir.glob('*/vis_data/*.json')):
        for line in file.read_text().splitlines():
            values = json.loads(line) if line.startswith('{') and line.endswith('}') else {}
            point = _point(values)
            if point:
                found.setdefault(values['step'], {}).update(point)
    return [{'iter': step, **found[step]} for step in sorted(found)]


def _point(values: dict) -> dict:
    point: dict = {}
    if 'firing_rate/mean' in values:
        rates = {k.removeprefix('firing_rate/'): v for k, v in values.items() if k.startswith('firing_rate/')}
        attention = [rates[name] for name in attention_outputs(rates)]
        point['mean'] = round(rates['mean'], 5)
        if attention:
            point['attention_rate'] = round(sum(attention) / len(attention), 5)
    for key, name in (('saturated/all', 'saturated'), ('saturated/attention', 'attention_saturated')):
        if key in values:
            point[name] = round(values[key], 5)
    for key, value in values.items():
        if key.startswith('st_erf/'):
            _, layer, metric = key.split('/')
            if '.stage' in layer:  # the config's own hook may have measured outputs of the backbone
                point.setdefault('erf', {}).setdefault(_stage(layer), {})[metric] = round(value, 5)
    return point


def _stage(layer: str) -> str:
    return layer.split('.')[1].removeprefix('stage')


def receptive_fields(model, images) -> dict:
    """ST-ERF of every stage of the backbone on images.

    Returns:
        dict: 'erf', {stage: {metric: number}}, and over several steps 'temporal', {stage: [share of each delay]}.
    """
    names = {module: name for name, module in model.named_modules()}
    layers = [names[stage[-1]] for stage in model.backbone._stages()]
    with same_randomness():
        results = st_erf(model, images, layers, time_steps=model.backbone.time_steps, forward=run_features)
    fields, curves = {}, {}
    for layer, result in results.items():
        numbers = measure(result)
        fields[_stage(layer)] = {k: numbers[k] if math.isfinite(numbers[k]) else None for k in ERF_METRICS}
        curve = result.temporal()
        if len(curve) > 1:
            curves[_stage(layer)] = [round(float(share), 5) for share in curve / (curve.sum() or 1)]
    return {'erf': fields, **({'temporal': curves} if curves else {})}


def at_sizes(runner, sizes: list) -> dict:
    """Metrics on pictures that the pipeline's Resize brings to other sizes: {size: {metric: number}}."""
    (resize,) = (t for t in runner.val_dataloader.dataset.pipeline.transforms if type(t).__name__ == 'Resize')
    before, found = resize.scale, {}
    for size in sizes:
        resize.scale = (size, size)
        found[str(size)] = {k: float(v) for k, v in runner.val_loop.run().items()}
    resize.scale = before
    return found


def by_marks(runner, annotations: Path) -> dict:
    """Share of digits of a far task that get the class of their mark: of marks in their rows, in their columns, all.

    A digit's class is the one that its strokes have the higher mean score of.

    Args:
        runner: Its validation set is of the scenes, its model a segmentor.
        annotations: COCO annotations of these scenes.
    """
    from mmengine.dataset import pseudo_collate

    content = json.loads(annotations.read_text())
    marks = {
        a['image_id']: (a['mark'][0] - a['bbox'][1] - a['bbox'][3] / 2, a['mark'][1] - a['bbox'][0] - a['bbox'][2] / 2)
        for a in content['annotations']
    }
    right: dict = {'rows': [], 'columns': []}
    dataset, model = runner.val_dataloader.dataset, runner.model
    model.eval()
    for item in dataset:
        with torch.no_grad():
            (sample,) = model.val_step(pseudo_collate([item]))
        truth, scores = sample.gt_sem_seg.data[0], sample.seg_logits.data
        strokes = (truth > 0) & (truth < 255)
        down, along = marks[int(Path(sample.img_path).stem)]
        guess = scores[1:, strokes].mean(1).argmax() + 1
        right['rows' if abs(along) > abs(down) else 'columns'].append(int(guess == truth[strokes][0]))
    right['marks'] = right['rows'] + right['columns']
    return {name: sum(found) / len(found) for name, found in right.items() if found}


def activity(model, batch) -> dict:
    """Firing rates, saturated neurons and operations of one evaluation of a batch."""
    model.eval()
    with torch.no_grad():
        with Saturation(model) as measured:
            model.val_step(batch)
        with OperationCounter(model) as counter:
            model.val_step(batch)
    total, rates, images = totals(counter.layers), measured.rates(), len(batch['data_samples'])
    attention = attention_outputs(rates)
    return {
        'firing_rate': measured.mean(),
        'saturated_layers': sum(state_of(rate) == 'saturated' for rate in rates.values()) / len(rates),
        'saturated_share': measured.share(rates),
        'attention_rate': sum(rates[n] for n in attention) / len(attention) if attention else None,
        'attention_saturated_share': measured.share(attention),
        'ann_macs_per_image': total.ann_macs / images,
        'acs_per_image': total.acs / images,
        'macs_per_image': total.macs / images,
    }
