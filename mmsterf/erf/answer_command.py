"""`--target` of the ST-ERF command line: receptive fields of answers of detectors, segmentors and classifiers."""

import sys
from pathlib import Path
from typing import Optional

import numpy as np
import torch

from mmsterf.engine.outputs import staged

from . import plots
from .answer_plots import answer_figure, picture_of
from .answers import Answer, NoAnswer, answers
from .calibrate import calibrated
from .files import replace_file, write_csv, write_json
from .given import load, weights_of
from .plain import Spec
from .predictions import run_answer
from .results import command_of, figures_in
from .shapes import timing


def classes_of(cfg, checkpoint: Optional[str]) -> Optional[list[str]]:
    """Return the names of a model's classes: its checkpoint's, or those of its config's data set; None without."""
    if checkpoint:
        from mmsterf.checkpoint import read

        meta = read(checkpoint).get('meta')
        meta = meta if isinstance(meta, dict) else {}
        stored = {str(key).lower(): value for key, value in (meta.get('dataset_meta') or meta).items()}
        if stored.get('classes'):
            return [str(name) for name in stored['classes']]
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
    if not loader.get('dataset'):
        return None
    from mmsterf.engine.data_checks import class_names, dataset_class
    from mmsterf.engine.dataset_parts import dataset_leaves

    for leaf in dataset_leaves(loader['dataset']):
        kind = dataset_class(leaf, cfg.get('default_scope', 'mmengine'))
        names = class_names(leaf, kind)[0] if kind else None
        if names:
            return [str(name) for name in names]
    return None


def name_of(inputs, i: int) -> str:
    """Return a short name of the i-th input."""
    pictures = getattr(inputs, 'pictures', None)
    return Path(str(pictures[i][0])).stem if pictures is not None else f'input-{i}'


def answer_all(model, inputs, args, name: str, classes, **how) -> list[tuple[str, Answer]]:
    """Return (input, answer) for every target and input of one model; those without an answer are warned of.

    Raises:
        NoAnswer: If there is none at all.
    """
    found, missing = [], []
    for i in range(len(inputs)):
        shown = name_of(inputs, i)

        def miss(error, shown=shown):
            missing.append(error)
            print(f'warning: {name}: {shown}: {error}', file=sys.stderr)

        given = answers(model, inputs[i], args.target, classes=classes, signed=args.signed, missing=miss, **how)
        for answer in given:
            found.append((shown, answer))
            for note in answer.notes:
                print(f'warning: {name}: {shown}: {note}', file=sys.stderr)
    if not found:
        raise NoAnswer(str(missing[0]) + ', in this input and all others' * (len(inputs) > 1))
    return found


def write_answers(found: list, facts: dict, preprocessor, name: str, out: Path) -> list[dict]:
    """Write answers.npz, .json, .csv and a figure of each; return the rows."""
    rows, maps, seen = [], {}, set()
    note = '' if facts['checkpoint'] else facts['weights']
    for shown, answer in found:
        stem = f'{shown}-{answer.target}'.replace(':', '-').replace('/', '-').replace(' ', '')
        while stem in seen:
            stem += '_'
        seen.add(stem)
        rows.append({'input': shown, **answer.measure()})
        maps[stem] = answer.map.astype('f4')
        title = f'{name}, {shown}: {answer.target}, class {answer.label}, score {answer.score:.3f}'
        plots.save(answer_figure(answer, preprocessor, title, note), out / 'answers' / stem)

    def write(part: Path) -> None:
        with part.open('wb') as file:
            np.savez_compressed(file, **maps)

    replace_file(out / 'answers.npz', write)
    write_json(out / 'answers.json', rows, facts)
    write_csv(out / 'answers.csv', rows)
    return rows


def report_answers(rows: list[dict], name: str) -> None:
    """Print a line for each answer."""
    first = {key: max(len(key), *(len(str(r[key])) for r in rows)) for key in ('input', 'target', 'label')}
    head = ''.join(f'{key:{width}}  ' for key, width in first.items())
    print(f'\n{name}\n{head}{"score":>8}{"inside":>9}{"area 50 %":>11}{"radius px":>11}  box or pixel; by step')
    for r in rows:
        where = ', '.join(f'{v:.0f}' for v in r['box'] or r['pixel'] or ()) or '-'
        steps = '; ' + ' '.join(f'{v:.3f}' for v in r['by_step']) if len(r['by_step']) > 1 else ''
        words = ''.join(f'{r[key]!s:{width}}  ' for key, width in first.items())
        print(f'{words}{r["score"]:8.3f}{r["inside"]:9.3f}{r["area_50"]:11.3f}{r["radius"]:11.1f}  {where}{steps}')


def run_targets(args, names: list[str], folder, argv) -> None:
    """Answer --target for every model of the command line, and write to the `ResultFolder`."""
    found, tables = {}, {}
    for name, (spec, checkpoint) in zip(names, args.models):
        model, cfg, inputs_of = load(spec, checkpoint, args)
        model.to(torch.device(args.device))
        if not isinstance(spec, Spec):
            from mmsterf.analysis.stock import fill_caches

            fill_caches(model)
        time_steps, kind = timing(model, args.time_steps, args.input_time)
        how = {'time_steps': time_steps, 'input_time': kind}
        inputs = inputs_of(args.num, args.seed, forward=run_answer, **how)
        weights = weights_of(spec, checkpoint and Path(checkpoint).name, args, cfg)
        print(f'{name}: {weights}')
        if args.calibrate:
            first = inputs_of(args.calibrate, args.seed + 1, forward=run_answer, **how)
            model = calibrated(model, first, forward=run_answer, **how)
            weights += f', batch norms calibrated on {len(first)} inputs'
        given = answer_all(model, inputs, args, name, classes_of(cfg, checkpoint), **how)
        for said in inputs.said() if hasattr(inputs, 'said') else []:
            print(f'warning: {name}: {said}', file=sys.stderr)
        facts = {
            'config': f'{Path(spec.source).name}:{spec.name}' if isinstance(spec, Spec) else Path(spec).name,
            'checkpoint': checkpoint and Path(checkpoint).name,
            'weights': weights,
            'input': [Path(i).name for i in args.input],
            'time_steps': time_steps,
            'signed': args.signed,
        }
        preprocessor = None
        if args.input != ['noise'] and not isinstance(spec, Spec):
            from mmsterf.analysis.pictures import preprocessor_of

            preprocessor = preprocessor_of(cfg, model)[0]
        found[name] = (given, facts, preprocessor)
    with folder, staged(args.out) as out:
        for name, results in found.items():
            tables[name] = write_answers(*results, name, out if len(names) == 1 else out / name)
        if args.html:
            from .html import answer_entry, model_entry, write_html

            entries = [
                model_entry(name, facts['weights'], [answer_entry(i, a, picture_of(a.sample, p)) for i, a in given])
                for name, (given, facts, p) in found.items()
            ]
            title = f'Receptive fields of answers: {", ".join(found)}'
            write_html(out / 'report.html', title, command_of(argv), entries, figures_in(out))
    for name, rows in tables.items():
        report_answers(rows, name)
    print(f'\nwritten to {args.out}')
