"""Run a notebook in this environment and write it as a page with its pictures: run_notebook.py NOTEBOOK OUT.md.

Cells run one after the other in one process, as plain Python; what they print stands below them, and so does the value
of a last line that is a picture (PIL). An error ends the tool. Needs nothing that a notebook server brings.
"""

import ast
import io
import json
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path

# A clone works without being installed.
sys.path.insert(1, str(Path(__file__).resolve().parents[2]))


_LOG = re.compile(r'^Loads checkpoint | - mmengine - ')
"""Lines of mmengine, some with paths of this machine."""


def run(source: str, names: dict) -> tuple:
    """Run a cell; returns what it printed, and the value of its last line, None if that is no expression."""
    body = ast.parse(source).body
    last = body.pop() if body and isinstance(body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with redirect_stdout(printed):
        exec(compile(ast.Module(body, []), '<cell>', 'exec'), names)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), '<cell>', 'eval'), names)
    return printed.getvalue(), value


def main() -> None:
    """Run the command line."""
    notebook, out = map(Path, sys.argv[1:])
    import mmsterf.registry  # noqa: F401  names of models, where mmsterf is not installed

    names, parts, pictures = {}, [], 0
    for cell in json.loads(notebook.read_text())['cells']:
        source = ''.join(cell['source'])
        if cell['cell_type'] == 'markdown':
            parts.append(source)
            continue
        parts.append(f'```python\n{source}\n```')
        printed, value = run(source, names)
        printed = '\n'.join(line for line in printed.splitlines() if not _LOG.search(line))
        if printed.strip():
            parts.append(f'```text\n{printed.rstrip()}\n```')
        if hasattr(value, 'save'):
            pictures += 1
            file = out.with_name(f'{out.stem}_{pictures}.png')
            value.save(file)
            parts.append(f'![What the cell above draws]({file.name})')
    out.write_text('\n\n'.join(parts) + '\n')
    print(f'{out}: {len(parts)} parts, {pictures} pictures')


if __name__ == '__main__':
    main()
