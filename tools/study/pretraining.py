"""Does pretraining on single digits pay? pretraining.py [--tasks det seg] [--seeds 0 1 2] [--report].

For each task and seed three trainings: of the classifier, of the demo's model from nothing, and of the demo's model
from the classifier's backbone with fewer iterations, so that both take the same time, pretraining included. Each leaves
a line in RESULTS: metrics by seconds of CPU of one thread, validations not counted. Killed, the same command goes on:
finished trainings are kept. --report writes table and figure.
"""

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))

from mmsterf.engine import arguments, check_versions, command_line

ROOT = Path(__file__).resolve().parents[2]
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
    from mmsterf.errors import InvalidInput

    folder.mkdir(parents=True, exist_ok=True)
    (folder / 'run.json').write_text(json.dumps(spec))
    command = [*shlex.split(wrap), sys.executable, str(Path(__file__).with_name('pretraining_run.py')), str(folder)]
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
    from matplotlib.figure import Figure

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


@command_line('finished trainings are kept, and the same command goes on')
def main(argv=None) -> None:
    """Do what is not done yet, or report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--tasks', nargs='+', choices=list(ITERS), default=list(ITERS), help='default: both')
    parser.add_argument('--seeds', nargs='+', type=arguments.seed, default=[0, 1, 2], metavar='N', help='default 0 1 2')
    parser.add_argument('--scenes', type=arguments.file_name, default='data/digit_scenes', help='made before')
    parser.add_argument('--pictures', type=arguments.file_name, default='data/digit_pictures', help='made before')
    parser.add_argument('--out', type=arguments.file_name, default='work_dirs/study/pretraining')
    parser.add_argument('--results', type=arguments.file_name, default='docs/study/pretraining.jsonl')
    parser.add_argument('--figure', type=arguments.file_name, default='docs/images/pretraining.png')
    parser.add_argument('--wrap', default='', metavar='COMMAND', help="put in front of each training's command")
    parser.add_argument('--report', action='store_true', help='write the figure and print the table, and train nothing')
    args = parser.parse_args(argv)
    check_versions()
    from study import append_results, read_results

    from mmsterf.errors import InvalidInput

    results = Path(args.results)
    if args.report:
        lines = read_results(results)
        if not any(line['start'] != 'classifier' for line in lines):
            raise InvalidInput(f'--results {results}: holds no trainings from nothing or pretrained yet')
        draw(lines, Path(args.figure))
        print(table(lines))
        return
    out = Path(args.out).absolute()
    folders = (str(Path(folder).absolute()) for folder in (args.scenes, args.pictures))
    for spec in specs(args.tasks, args.seeds, *folders, out):
        if (spec['run'], spec['iters']) in {(line['run'], line['iters']) for line in read_results(results)}:
            continue
        result = train(spec, out / spec['run'], args.wrap)
        shown = {
            METRICS[key]: round(value(result['points'][-1], key), 3) for key in METRICS if key in result['points'][-1]
        }
        print(f'{spec["run"]}: {shown} after {result["cpu_s"]:.0f} s of CPU', flush=True)
        append_results(results, [{'key': spec['run'], **result}])


if __name__ == '__main__':
    main()
