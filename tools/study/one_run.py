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
from importlib.metadata import version
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.engine import check_versions, command_line

ROOT = Path(__file__).resolve().parents[2]
IMAGES = 16
"""Validation images that receptive fields, firing rates and operations are measured on."""
ERF_METRICS = ('area_50', 'area_99', 'centre_share', 'radius', 'nonzero', 'entropy_coverage')
NOTHING_DETECTED = tuple(f'coco/bbox_mAP{end}' for end in ('', '_50', '_75', '_s', '_m'))
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


def config_of(run: dict):
    """The config of a run: that of its task, the factor's changes, the budget, the seed."""
    from mmengine.config import Config

    cfg = Config.fromfile(run['config'])
    iters = run['iters']
    cfg.merge_from_dict(
        {
            'train_cfg.max_iters': iters,
            'train_cfg.val_interval': iters,
            'train_cfg.val_begin': iters + 1,  # validated by us, after all that a kill may interrupt
            f'param_scheduler.{len(cfg.param_scheduler) - 1}.end': iters,
            'default_hooks.checkpoint.interval': min(50, iters),
            'randomness.seed': run['seed'],
            **run['options'],
        }
    )
    hook = {'type': 'mmsterf.FiringRateHook', 'interval': max(iters // 8, 1)}
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), hook]
    return cfg


def receptive_fields(model, images) -> dict:
    """Numbers of the ST-ERF of every stage of the backbone on images: {stage: {metric: number}}."""
    import math

    from mmsterf.analysis.features import run_features
    from mmsterf.erf import measure, same_randomness, st_erf

    names = {module: name for name, module in model.named_modules()}
    layers = [names[stage[-1]] for stage in model.backbone._stages()]
    time_steps = model.backbone.time_steps
    with same_randomness():
        results = st_erf(model, images, layers, time_steps=time_steps, forward=run_features)
    fields = {}
    for layer, result in results.items():
        numbers = measure(result)
        values = {k: numbers[k] if math.isfinite(numbers[k]) else None for k in ERF_METRICS}
        fields[layer.split('.')[1].removeprefix('stage')] = values
    return fields


def at_sizes(runner, sizes: list) -> dict:
    """Metrics on pictures that the pipeline's Resize brings to other sizes: {size: {metric: number}}."""
    (resize,) = (t for t in runner.val_dataloader.dataset.pipeline.transforms if type(t).__name__ == 'Resize')
    before, found = resize.scale, {}
    for size in sizes:
        resize.scale = (size, size)
        found[str(size)] = {k: float(v) for k, v in runner.val_loop.run().items()}
    resize.scale = before
    return found


def activity(model, batch) -> dict:
    """Firing rates, saturated neurons and operations of one evaluation of a batch."""
    import torch

    from mmsterf.analysis import FiringRates, OperationCounter, state_of
    from mmsterf.analysis.energy import totals
    from mmsterf.snn.operations import spikes_of

    class Saturation(FiringRates):
        """Counts values at the most spikes a neuron can send, beside firing rates."""

        full: dict = {}

        def _add(self, name, neuron, output) -> None:
            super()._add(name, neuron, output)
            gain, slots, _ = spikes_of(neuron)
            full, number = self.full.get(name, (0, 0))
            at_most = int((output.detach() >= gain * (slots - 0.5)).sum())
            self.full[name] = (full + at_most, number + output.numel())

    model.eval()
    with torch.no_grad():
        with Saturation(model) as measured:
            model.val_step(batch)
        with OperationCounter(model) as counter:
            model.val_step(batch)
    total, rates = totals(counter.layers), measured.rates()
    attention = [name for name in rates if '.attn.' in name and name.endswith('proj.conv.neuron')]
    share = lambda names: sum(measured.full[n][0] for n in names) / max(sum(measured.full[n][1] for n in names), 1)  # noqa: E731
    return {
        'firing_rate': measured.mean(),
        'saturated_layers': sum(state_of(rate) == 'saturated' for rate in rates.values()) / len(rates),
        'saturated_share': share(rates),
        'attention_rate': sum(rates[n] for n in attention) / len(attention) if attention else None,
        'attention_saturated_share': share(attention) if attention else None,
        'ann_macs_per_image': total.ann_macs / len(batch['data_samples']),
        'acs_per_image': total.acs / len(batch['data_samples']),
        'macs_per_image': total.macs / len(batch['data_samples']),
    }


def rates_in_training(work_dir: Path) -> list:
    """Firing rates that the hook wrote during training: [{'iter', 'mean', 'saturated_layers', 'attention_rate'}]."""
    found = {}
    for file in sorted(work_dir.glob('*/vis_data/*.json')):
        for line in file.read_text().splitlines():
            values = json.loads(line) if line.startswith('{') and line.endswith('}') else {}
            rates = {k: v for k, v in values.items() if k.startswith('firing_rate/')}
            mean = rates.pop('firing_rate/mean', None)
            if mean is None:
                continue
            attention = [v for k, v in rates.items() if '.attn.' in k and k.endswith('proj.conv.neuron')]
            found[values['step']] = {
                'iter': values['step'],
                'mean': round(mean, 5),
                'saturated_layers': round(sum(v >= 0.95 for v in rates.values()) / len(rates), 5),
                'attention_rate': round(sum(attention) / len(attention), 5) if attention else None,
            }
    return [found[step] for step in sorted(found)]


def commit() -> str:
    """Commit of this checkout, with a + if it was changed; 'unknown' where there is no git."""
    git = lambda *a: subprocess.run(['git', '-C', str(ROOT), *a], capture_output=True, text=True, check=True).stdout  # noqa: E731
    try:
        return git('rev-parse', 'HEAD').strip() + ('+' if git('status', '--porcelain', '-uno').strip() else '')
    except (OSError, subprocess.CalledProcessError):
        return 'unknown'


def run_one(folder: Path) -> None:
    """Train, evaluate, measure, write the result."""
    from mmengine.dataset import pseudo_collate

    from mmsterf.analysis.features import Images
    from mmsterf.engine.cli import train
    from mmsterf.engine.resuming import find_checkpoint

    clock, at = Clock(folder / 'times'), commit()
    run = json.loads((folder / 'run.json').read_text())
    os.environ['MMSTERF_DIGITS_ROOT'] = run.pop('data_root')
    work_dir = folder / 'train'
    config_of(run).dump(folder / 'config.py')
    resume = ['--resume'] if find_checkpoint(str(work_dir)) else []
    runner = train([str(folder / 'config.py'), '--work-dir', str(work_dir), *resume])
    metrics = runner.val_loop.run()
    model, dataset = runner.model, runner.val_dataloader.dataset
    result = {
        **run,
        'config': Path(run['config']).name,
        # CocoMetric has no numbers where nothing at all was detected.
        'metrics': {k: float(v) for k, v in metrics.items()} or dict.fromkeys(NOTHING_DETECTED, 0.0),
        'erf': receptive_fields(model, Images(dataset, model.data_preprocessor, IMAGES, None)),
        **activity(model, pseudo_collate([dataset[i] for i in range(min(IMAGES, len(dataset)))])),
        **({'at_sizes': at_sizes(runner, run['test_sizes'])} if run['test_sizes'] else {}),
        'training': rates_in_training(work_dir),
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
    try:
        return version(name)
    except Exception:  # a fork of another name
        return 'not installed'


@command_line('finished runs are kept')
def main() -> None:
    """Check the installed packages before they are imported, then run."""
    check_versions()
    run_one(Path(sys.argv[1]))


if __name__ == '__main__':
    main()
