"""Imports go downwards: a module imports from its own floor and from those below, wherever in it the import stands."""

import ast
from pathlib import Path

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
        *('demo', 'engine.cli', 'erf.__main__', 'erf.command', 'erf.arguments'),
        *('erf.plain', 'erf.results', 'erf.html', 'erf.answer_command', 'erf.answer_plots', 'erf.answers'),
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


def test_imports_go_downwards():
    upwards = []
    files = [path for path in PACKAGE.rglob('*.py') if '.mim' not in path.parts]
    for file in files:
        here = '.'.join(file.relative_to(PACKAGE).with_suffix('').parts).removesuffix('.__init__')
        found = {(name, line) for name, line in imports(file)}
        upwards += [f'{here}:{line} imports {name}' for name, line in found if floor(name) > floor(here)]
    assert len(files) > 100 and not upwards, upwards


def test_what_counts_as_an_import():
    assert floor('engine.cli') > floor('hooks.st_erf_hook') > floor('analysis') > floor('engine.config')
    assert 'engine.inputs' in dict(imports(PACKAGE / 'datasets' / 'events.py'))
