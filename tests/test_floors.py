"""Imports go downwards: a module imports from its own floor and from those below, wherever in it the import stands."""

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / 'mmsterf'

FLOORS = [
    ['errors', 'palette', 'zoo', '__init__', '__main__'],
    ['ranges', 'versions'],
    ['snn', 'events', 'erf', 'checkpoint', 'engine.inputs', 'engine.image_files', 'engine.videos'],
    ['mmengine_names', 'registry', 'utils'],
    ['models', 'datasets', 'deploy'],
    ['engine'],
    ['analysis'],
    ['hooks'],
    ['inference', 'owndata'],
    # Command lines; in `erf`, also what brings models of mmdet and mmseg to it.
    [
        *('demo', 'study', 'engine.cli', 'erf.__main__', 'erf.command', 'erf.arguments'),
        *('erf.plain', 'erf.given', 'erf.results', 'erf.html', 'erf.answer_command', 'erf.answer_plots', 'erf.answers'),
        'erf.predictions',
    ],
]
"""From the ground up. Of two names that fit a module, the longer one says its floor."""


def floor(module: str) -> int:
    """Floor of a module, by its name below `mmsterf`."""
    fitting = [
        (len(name), i) for i, names in enumerate(FLOORS) for name in names if f'{module}.'.startswith(f'{name}.')
    ]
    assert fitting, f'mmsterf.{module} has no floor yet: add it to FLOORS'
    return max(fitting)[1]


def imports(file: Path):
    """Modules of mmsterf that a file imports, by their names below `mmsterf`, with the line."""
    package = file.relative_to(PACKAGE.parent).parent.parts
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            start = '.'.join(package[: len(package) - node.level + 1]) if node.level else ''
            name = '.'.join(part for part in (start, node.module) if part)
            # `from mmsterf.models import blocks` may name a module.
            inside = [f'{name}.{alias.name}' for alias in node.names]
            names = [
                one if PACKAGE.parent.joinpath(*one.split('.')).with_suffix('.py').is_file() else name for one in inside
            ]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        yield from ((name.removeprefix('mmsterf.'), node.lineno) for name in names if name.startswith('mmsterf.'))


def files():
    """Modules of mmsterf by their names below it, and their files."""
    for path in PACKAGE.rglob('*.py'):
        if '.mim' not in path.parts:
            yield '.'.join(path.relative_to(PACKAGE).with_suffix('').parts).removesuffix('.__init__'), path


def test_imports_go_downwards():
    found = [(here, line, name) for here, file in files() for name, line in imports(file)]
    upwards = [f'{here}:{line} imports {name}' for here, line, name in found if floor(name) > floor(here)]
    assert len(found) > 500 and not upwards, upwards


def test_imports_make_no_circles():
    found = {here: {name for name, _ in imports(file)} for here, file in files()}
    with pytest.raises(CycleError):
        tuple(TopologicalSorter({**found, 'errors': {'engine.cli'}}).static_order())
    tuple(TopologicalSorter(found).static_order())  # which names the modules of a circle


def test_what_counts_as_an_import():
    assert floor('engine.cli') > floor('hooks.st_erf_hook') > floor('analysis') > floor('engine.config')
    assert 'engine.inputs' in dict(imports(PACKAGE / 'datasets' / 'events.py'))
