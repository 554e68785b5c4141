"""Does pretraining pay in the same time: the trainings, their table and their figure."""

import json
import os
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

from matplotlib.figure import Figure

from mmsterf.errors import InvalidInput

from .processes import TOOLS

CONFIGS = {'det': 'mask_rcnn_sdt_mlpixer_digits.py', 'seg': 'semantic_fpn_sdt_mlpixer_digits.py'}
CLASSIFIERS = {'det': 'imagenet/sdt_mlpixer_digits.py', 'seg': 'imagenet/sdt_mlpixer_digits_seg.py'}
ITERS = {
    'det': {'classifier': 1000, 'nothing': 760, 'pretrained': 560},
    'seg': {'classifier': 600, 'nothing': 960, 'pretrained': 720},
}
"""By task and start, from seconds an iteration of one thread: 0.095 and 0.12 of the classifiers, 0.47 of the detector,
0.25 of the segmentor. The demos are several times as long."""
METRICS = {'coco/bbox_mAP_50': 'box AP50', 'coco/segm_mAP_50': 'mask AP50', 'mIoU': 'mIoU', 'accuracy/top1': 'top-1'}
PERCENT = ('mIoU', 'top-1')
COLOURS = {'nothing': '#0072B2', 'pretrained': '#D55E00'}


def specs(tasks: list, seeds: list, scenes: str, pictures: str, out: Path) -> list:
    """All trainings in the order they are done: those of a seed together, classifiers in front of what needs them.

    `folders` of a training are the environment variables by which its config finds scenes and pictures.
    """
    found = []
    for seed in seeds:
        for task in tasks:
            for start, iters in ITERS[task].items():
                of_classifier = start == 'classifier'
                before = out / f'{task}-classifier-{seed}/train/iter_{ITERS[task]["classifier"]}.pth'
                found.append(
                    {
                        'run': f'{task}-{start}-{seed}',
                        'task': task,
                        'start': start,
                        'seed': seed,
                        'iters': iters,
                        'config': (CLASSIFIERS if of_classifier else CONFIGS)[task],
                        'folders': {'MMSTERF_DIGITS_ROOT': scenes, 'MMSTERF_DIGIT_PICTURES_ROOT': pictures},
                        'checkpoint': str(before) if start == 'pretrained' else None,
                        'options': {},
                    }
                )
    return found


def train(spec: dict, folder: Path, wrap: str) -> dict:
    """Train in a process of its own; returns the result line."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'run.json').write_text(json.dumps(spec))
    command = [*shlex.split(wrap), sys.executable, str(TOOLS / 'study' / 'pretraining_run.py'), str(folder)]
    with (folder / 'log.txt').open('w') as log:
        environment = {**os.environ, 'OMP_NUM_THREADS': '1'}  # what is compared is the time of one thread
        if subprocess.run(command, stdout=log, stderr=log, env=environment).returncode:
            raise InvalidInput(f'{spec["run"]} failed: the end of {folder / "log.txt"} says why')
    result = json.loads((folder / 'result.json').read_text())
    # Places on this machine say nothing elsewhere.
    return {key: value for key, value in result.items() if key not in ('folders', 'checkpoint')}


def value(point: dict, key: str) -> float:
    """A metric between 0 and 1; 0 where nothing was detected, which CocoMetric has no number for."""
    return point.get(key, 0.0) / (100 if METRICS[key] in PERCENT else 1)


def offset(line: dict, lines: list) -> float:
    """Seconds of CPU that pretraining took in front of a training."""
    if line['start'] != 'pretrained':
        return 0.0
    return next(r['cpu_s'] for r in lines if r['run'] == f'{line["task"]}-classifier-{line["seed"]}')


def table(lines: list) -> str:
    """Markdown: final metrics by task and start, mean and standard deviation over seeds, and paired differences."""
    rows = ['| | start | seeds | minutes of CPU | mean ± sd | difference, by seed |', '|---|---|---|---|---|---|']
    for task in ITERS:
        for key, name in METRICS.items():
            of = {s: {r['seed']: r for r in lines if r['task'] == task and r['start'] == s} for s in ITERS[task]}
            for start, runs in of.items():
                shown = [value(r['points'][-1], key) for r in runs.values() if key in r['points'][-1]]
                if not shown:
                    continue
                minutes = statistics.mean(r['cpu_s'] + offset(r, lines) for r in runs.values()) / 60
                spread = f' ± {statistics.stdev(shown):.3f}' if len(shown) > 1 else ''
                paired = [
                    value(runs[s]['points'][-1], key) - value(of['nothing'][s]['points'][-1], key)
                    for s in sorted(runs.keys() & of['nothing'].keys())
                ]  # fmt: skip
                text = ', '.join(f'{d:+.3f}' for d in paired)
                mean = f'{statistics.mean(paired):+.3f} ({text})' if start == 'pretrained' and paired else ''
                rows.append(
                    f'| {task}, {name} | {start} | {len(shown)} | {minutes:.1f} '
                    f'| {statistics.mean(shown):.3f}{spread} | {mean} |'
                )
    return '\n'.join(rows)


def draw(lines: list, file: Path) -> None:
    """Metrics by minutes of CPU, a line per training; pretraining shifts its lines to the right."""
    panels = [(t, k) for t in ITERS for k in METRICS if k != 'accuracy/top1' and any(
        r['task'] == t and k in r['points'][-1] for r in lines)]  # fmt: skip
    figure = Figure(figsize=(3.6 * len(panels), 3.4), layout='constrained')
    for axes, (task, key) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels):
        for start, colour in COLOURS.items():
            for number, line in enumerate(r for r in lines if (r['task'], r['start']) == (task, start)):
                shift = offset(line, lines)
                minutes = [shift / 60] + [(shift + p['cpu_s']) / 60 for p in line['points']]
                label = {'nothing': 'from nothing', 'pretrained': 'pretrained'}[start]
                values = [0] + [value(p, key) for p in line['points']]
                axes.plot(minutes, values, 'o-', ms=3, color=colour, alpha=0.8, label=None if number else label)
        axes.set(xlabel='minutes of CPU, pretraining included', title=METRICS[key], ylim=(0, None), xlim=(0, None))
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8, frameon=False)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
