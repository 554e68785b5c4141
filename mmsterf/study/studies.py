"""Studies: small Python files that say which runs there are.

A study file has

    maker = 'make_digit_scenes.py', as by default, or 'make_event_scenes.py'
    data = {NAME: options of the maker, in one line}
    tasks = {NAME: dict(config='seg.py', data=NAME, iters=400, options={...}, test_sizes=[...], erf_images=8)}
    factors = {NAME: dict(tasks=[...], values={VALUE: options, ...})}
    seeds = [0, 1, 2]

Configs lie beside the study file. With `test_sizes`, trained models are also tested on pictures resized to those sizes;
`erf_images` validation images are what receptive fields are measured on.
Options are changes to the task's config as in `Config.merge_from_dict`: dotted keys to values. Every factor is varied
by itself: the runs of a factor are all its tasks, values and seeds.
"""

import copy
import functools
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from mmengine.config import Config

from mmsterf.errors import InvalidInput

MAKERS = {'make_digit_scenes.py': 'MMSTERF_DIGITS_ROOT', 'make_event_scenes.py': 'MMSTERF_EVENT_SCENES_ROOT'}
"""Makers of scenes, and the environment variables by which configs find them."""


@dataclass(frozen=True)
class Run:
    """One run of a study.

    Attributes:
        values: All values of its factor, in the order of the study file; differences are to the first.
        task_options: What the task changes in its config; `options` has these and what the factor changes.
    """

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
    values: tuple = ()
    task_options: tuple = ()
    test_sizes: tuple = ()
    erf_images: int = 8
    maker: str = 'make_digit_scenes.py'

    @property
    def name(self) -> str:
        """Unique within the study, fit for a folder."""
        return f'{self.factor}-{self.task}-{self.value}-{self.seed}'

    @property
    def data_folder(self) -> str:
        """Folder of its scenes: other options, other folder."""
        return f'{self.data}-{hashlib.sha256(self.data_options.encode()).hexdigest()[:8]}'

    @functools.cached_property
    def key(self) -> str:
        """Hash of all that the training is made of: the same for runs of several factors that are one training."""
        return self._hash(config_of(asdict(self)).to_dict(), self.seed)

    @functools.cached_property
    def task_key(self) -> str:
        """Hash of all that runs of one table share: of the task, without what the factor or the seed changes."""
        shared = {**asdict(self), 'options': dict(self.task_options), 'seed': None}
        return self._hash(config_of(shared).to_dict())

    def _hash(self, *parts) -> str:
        parts = [*parts, self.data_options, self.test_sizes, self.erf_images]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


@functools.cache
def _read_config(file: str) -> Config:
    """A config as it is wherever its scenes are: the variables that name them are left out."""
    roots = {name: os.environ.pop(name) for name in MAKERS.values() if name in os.environ}
    try:
        return Config.fromfile(file)
    finally:
        os.environ.update(roots)


def config_of(run: dict, cfg: Config = None) -> Config:
    """The config of a run: that of its task, the factor's changes, the budget, the seed.

    Args:
        run: What :class:`Run` holds.
        cfg: The task's config as read; read without the place of its scenes by default.
    """
    cfg = copy.deepcopy(_read_config(run['config'])) if cfg is None else cfg
    iters = run['iters']
    cfg.merge_from_dict(
        {
            'train_cfg.max_iters': iters,
            'train_cfg.val_interval': iters,
            'train_cfg.val_begin': iters + 1,  # validated by us, after all that a kill may interrupt
            f'param_scheduler.{len(cfg.param_scheduler) - 1}.end': iters,
            'default_hooks.checkpoint.interval': min(200, iters),
            'randomness.seed': run['seed'],
            **run['options'],
        }
    )
    return cfg


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
        self.maker = content.get('maker') or next(iter(MAKERS))
        if self.maker not in MAKERS:
            raise InvalidInput(f'STUDY {file}: maker must be one of {", ".join(MAKERS)}, got {self.maker!r}')
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
        """All runs, or those of one factor ('mixer') or table ('mixer-det'): by factor, task and seed.

        So what is compared ends together.
        """
        tables = [f'{factor}-{task}' for factor in self.factors for task in self.factors[factor]['tasks']]
        if only and only not in (*self.factors, *tables):
            raise InvalidInput(
                f'--only must be a factor of the study or a factor and its task, one of {", ".join(self.factors)}, '
                f'{", ".join(tables)}; got {only!r}'
            )
        return [
            self._run(factor, task, value, seed)
            for factor in self.factors
            for task in self.factors[factor]['tasks']
            if only in ('', factor, f'{factor}-{task}')
            for seed in self.seeds
            for value in self.factors[factor]['values']
        ]

    def _run(self, factor: str, name: str, value: str, seed: int) -> Run:
        task, values = self.tasks[name], self.factors[factor]['values']
        task_options = task.get('options') or {}
        return Run(
            study=self.name,
            factor=factor,
            task=name,
            value=value,
            seed=seed,
            config=str((self.folder / task['config']).resolve()),
            data=task['data'],
            data_options=self.data[task['data']],
            iters=task['iters'],
            options={**task_options, **values[value]},
            values=tuple(values),
            task_options=tuple(task_options.items()),
            test_sizes=tuple(task.get('test_sizes') or ()),
            erf_images=task.get('erf_images', 8),
            maker=self.maker,
        )
