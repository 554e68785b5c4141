"""Studies: small Python files that say which runs there are.

A study file has

    data = {NAME: options of make_digit_scenes.py, in one line}
    tasks = {NAME: dict(config='seg.py', data=NAME, iters=400, options={...}, test_sizes=[...])}
    factors = {NAME: dict(tasks=[...], values={VALUE: options, ...})}
    seeds = [0, 1, 2]

Configs lie beside the study file. With `test_sizes`, trained models are also tested on pictures resized to those sizes.
Options are changes to the task's config as in `Config.merge_from_dict`: dotted keys to values. Every factor is varied
by itself: the runs of a factor are all its tasks, values and seeds.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from mmengine.config import Config

from mmsterf.errors import InvalidInput


@dataclass(frozen=True)
class Run:
    """One run of a study."""

    study: str
    factor: str
    task: str
    value: str
    seed: int
    config: str
    data: str
    data_options: str
    iters: int
    options: dict
    test_sizes: tuple = ()

    @property
    def name(self) -> str:
        """Unique within the study, fit for a folder."""
        return f'{self.factor}-{self.task}-{self.value}-{self.seed}'

    @property
    def key(self) -> str:
        """The same for runs of several factors that are one and the same training."""
        same = {k: v for k, v in asdict(self).items() if k not in ('study', 'factor', 'value')}
        if not self.test_sizes:
            del same['test_sizes']
        same['config'] = Path(self.config).name
        return hashlib.sha256(json.dumps(same, sort_keys=True).encode()).hexdigest()[:16]


class Study:
    """A study file, read and checked.

    Args:
        file: The study file.

    Raises:
        InvalidInput: If it cannot be read, or says something that cannot be.
    """

    def __init__(self, file: str) -> None:
        path = Path(file)
        if not path.is_file():
            raise InvalidInput(f'STUDY {file}: no such file')
        try:
            content = Config.fromfile(path, use_environment_variables=False).to_dict()
        except Exception as error:
            raise InvalidInput(f'STUDY {file} cannot be read: {type(error).__name__}: {error}') from error
        for name in ('data', 'tasks', 'factors', 'seeds'):
            if not content.get(name):
                raise InvalidInput(f'STUDY {file} must set data, tasks, factors and seeds; {name} is missing or empty')
        self.name, self.folder = path.stem, path.parent
        self.data, self.tasks, self.factors, self.seeds = (content[k] for k in ('data', 'tasks', 'factors', 'seeds'))
        for name, task in self.tasks.items():
            if not isinstance(task.get('iters'), int) or task['iters'] < 1:
                raise InvalidInput(
                    f'{file}: iters of task {name} must be a positive integer, got {task.get("iters")!r}'
                )
            if task.get('data') not in self.data:
                raise InvalidInput(
                    f'{file}: data of task {name} must be one of {", ".join(self.data)}, got {task.get("data")!r}'
                )
            if not (self.folder / str(task.get('config'))).is_file():
                raise InvalidInput(f'{file}: config {task.get("config")} of task {name} is not beside the study file')
        for name, factor in self.factors.items():
            for task in factor['tasks']:
                if task not in self.tasks:
                    raise InvalidInput(f'{file}: factor {name} names task {task!r}; there are {", ".join(self.tasks)}')

    def runs(self, only: str = '') -> list:
        """All runs, or those of one factor: by factor, task and seed, so that what is compared ends together."""
        if only and only not in self.factors:
            raise InvalidInput(f'--only must be a factor of the study, one of {", ".join(self.factors)}; got {only!r}')
        return [
            self._run(factor, task, value, seed)
            for factor in self.factors
            if only in ('', factor)
            for task in self.factors[factor]['tasks']
            for seed in self.seeds
            for value in self.factors[factor]['values']
        ]

    def _run(self, factor: str, name: str, value: str, seed: int) -> Run:
        task = self.tasks[name]
        options = {**(task.get('options') or {}), **self.factors[factor]['values'][value]}
        config = str((self.folder / task['config']).resolve())
        return Run(
            self.name,
            factor,
            name,
            value,
            seed,
            config,
            task['data'],
            self.data[task['data']],
            task['iters'],
            options,
            tuple(task.get('test_sizes') or ()),
        )


def read_results(file: Path) -> list:
    """Result lines of a file; none if it is not there.

    Raises:
        InvalidInput: If a line is none, but the last, which a killed run may have left unfinished.
    """
    if not file.is_file():
        return []
    results, lines = [], file.read_text().split('\n')
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            result = json.loads(line)
            result['run'], result['key']
        except (ValueError, KeyError, TypeError):
            if number == len(lines):
                continue
            raise InvalidInput(f'{file}, line {number}: not a result line of run.py') from None
        results.append(result)
    return results


def append_results(file: Path, results: list) -> None:
    """Add result lines to a file, which is replaced whole: a killed process leaves the former one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f'.{os.getpid()}.{file.name}')
    part.write_text(''.join(json.dumps(result) + '\n' for result in [*read_results(file), *results]))
    os.replace(part, file)
