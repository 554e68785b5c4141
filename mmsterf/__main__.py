"""`mmsterf COMMAND ...`, and `python -m mmsterf COMMAND ...`: the tools, as an installation has them.

Each command is a file of tools/ and runs as that file does, with its arguments and its --help.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Optional

from mmsterf import __version__

TOOLS = (Path(__file__).resolve().parent / '.mim' / 'tools').resolve()
NAMES = {
    'get_energy': 'energy',
    'count_parameters': 'parameters',
    'published_to_mmsterf': 'convert',
    'make_digit_scenes': 'digit-scenes',
}
"""Commands that are not called like their file; the others are, with dashes."""
_NO_COMMANDS = ('study', 'release')
"""Folders of tools for this repository itself."""


def commands() -> dict:
    """The file of each command, those of tools/ itself first."""
    files = [path for kind in ('*.py', '*.sh') for path in sorted(TOOLS.rglob(kind), key=_order)]
    files = [path for path in files if path.parent.name not in _NO_COMMANDS]
    return {NAMES.get(path.stem, path.stem.replace('_', '-')): path for path in files}


def _order(path: Path) -> tuple:
    return len(path.relative_to(TOOLS).parts), path


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line."""
    name, *rest = (sys.argv[1:] if argv is None else list(argv)) or ['--help']
    if name in ('-h', '--help'):
        print(_usage())
    elif name in ('-V', '--version'):
        print(f'mmsterf {__version__}')
    elif name not in (known := commands()):
        near = get_close_matches(name, known, 1)
        hint = f'did you mean {near[0]}?' if near else f'valid choices are {", ".join(known)}'
        sys.exit(f'error: mmsterf has no command {name!r}; {hint}')
    else:
        _run(name, known[name], rest)


def _run(name: str, file: Path, arguments: list) -> None:
    if file.suffix == '.sh':
        environment = {'PYTHON': sys.executable, **os.environ}
        sys.exit(subprocess.run(['bash', str(file), *arguments], env=environment).returncode)
    # As `python file` does, but --help says `mmsterf name`, which runpy would not.
    sys.argv = [f'mmsterf {name}', *arguments]
    spec = spec_from_file_location('__main__', file)
    tool = module_from_spec(spec)
    tool.__spec__ = None  # as of a script: processes that are spawned look for its file
    before, sys.modules['__main__'] = sys.modules['__main__'], tool
    try:
        spec.loader.exec_module(tool)
    finally:
        sys.modules['__main__'] = before


def _usage() -> str:
    known = commands()
    width = max(map(len, known)) + 2
    lines = [f'  {name:{width}}{_purpose(file)}' for name, file in known.items()]
    return '\n'.join(['usage: mmsterf COMMAND [ARGUMENT ...]', '', *lines, '', '`mmsterf COMMAND --help` says more.'])


def _purpose(file: Path) -> str:
    """First line of what a tool says of itself, without how it is called."""
    text = file.read_text()
    if file.suffix == '.sh':
        line = next(line for line in text.splitlines() if line.startswith('# '))[2:]
    else:
        line = (ast.get_docstring(ast.parse(text)) or '').partition('\n')[0]
    first, _, second = line.partition(': ')
    return (first if '.py' in second or '.sh' in second else line).rstrip('.')


if __name__ == '__main__':
    main()
