"""Hook of mkdocs: pages of the site that are made of README, benchmarks, metafiles, figures, docstrings, notebooks."""

import posixpath
import re
import subprocess
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

import griffe
import yaml
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[2]
ROOMS = {
    'snn': 'Neurons, and layers with a neuron in front',
    'models': 'Mixers, attention, blocks, backbones and heads',
    'erf': 'Effective receptive fields of any PyTorch model',
    'analysis': 'Firing rates, operations, energy; models of configs',
    'events': 'Event recordings into time steps',
    'datasets': 'Data sets and transforms',
    'checkpoint': 'Published weights, files and addresses',
    'deploy': 'Out of PyTorch',
    'hooks': 'Hooks for training',
}
"""Rooms of the package that have a page, with what they hold."""

_MOVED = {'README.md': 'index.md', 'benchmarks/README.md': 'benchmarks.md', 'CONTRIBUTING.md': 'contributing.md'}
_MOVED['CHANGELOG.md'] = 'changelog.md'
_LINK = re.compile(r'(!?)\[([^\]]*)\]\(([^)\s:#]+)(#[^)]*)?\)')


def on_files(files: Files, config) -> Files:
    """Add the made pages."""
    pages = {new: _moved(old) for old, new in _MOVED.items()}
    pages |= {'zoo.md': zoo(), 'gallery.md': gallery()}
    pages |= {'api.md': _api_index(), **{f'api/{room}.md': _api(room) for room in ROOMS}}
    for notebook in sorted((ROOT / 'docs').glob('*.ipynb')):
        pages |= _run(notebook)
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def _run(notebook: Path) -> dict:
    """A notebook, run in the project's environment, as a page with its pictures."""
    with TemporaryDirectory() as folder:
        page = Path(folder, f'{notebook.stem}.md')
        python = ROOT / '.venv' / 'bin' / 'python'
        subprocess.run([str(python), str(ROOT / 'tools/release/run_notebook.py'), str(notebook), str(page)], check=True)
        return {path.name: path.read_text() if path == page else path.read_bytes() for path in Path(folder).iterdir()}


def on_page_markdown(markdown: str, page, **_) -> str:
    """Links of the pages that stand in docs/ themselves."""
    source = page.file.src_uri
    return markdown if page.file.generated_by else _linked(markdown, posixpath.join('docs', source), source)


def _moved(old: str) -> str:
    return _linked((ROOT / old).read_text(), old, _MOVED[old])


def _linked(text: str, old: str, new: str) -> str:
    """Point links between files of the repository to pages; what has no page is named instead.

    Args:
        text: Markdown.
        old: Its file in the repository.
        new: Its page in the site.
    """

    def link(match: re.Match) -> str:
        picture, label, target, anchor = match.groups()
        path = posixpath.normpath(posixpath.join(posixpath.dirname(old), target))
        page = _MOVED.get(path) or (path.removeprefix('docs/') if path.startswith('docs/') else None)
        page = page and page.replace('.ipynb', '.md')  # what is run stands there
        if page is None or page.endswith(('.jsonl', '.py')):
            return f'{label} (`{path}`)'
        page = posixpath.relpath(page, posixpath.dirname(new) or '.')
        return f'{picture}[{label}]({page}{anchor or ""})'

    return _LINK.sub(link, text)


def zoo() -> str:
    """The model zoo, from the metafiles."""
    lines = [
        '# Model zoo',
        '',
        'Parameters in millions; multiply-accumulates (MAC) of backbone and neck in billions, all time steps, at the',
        'size of images that is named. Results are those that the papers publish: none was trained on COCO, ADE20K or',
        'ImageNet here. [Where the published weights are.](published_weights.md)',
        '',
    ]
    for name in yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']:
        file = yaml.safe_load((ROOT / name).read_text())
        lines += [f'## {file["Collections"][0]["Name"]}', '']
        lines += ['| model | parameters | MAC | images | published |', '|---|---:|---:|---:|---|']
        lines += [_row(model) for model in file['Models']]
        lines.append('')
    return '\n'.join(lines)


def _row(model: dict) -> str:
    facts = model['Metadata']
    size = re.search(r'\d+ x \d+', facts['FLOPs are'])[0]
    metrics = ', '.join(
        f'{name} {value}' for result in model['Results'] for name, value in result.get('Metrics', {}).items()
    )
    if page := facts.get('Weights page'):
        metrics += f' ([weights]({page}))'
    numbers = f'{facts["Parameters"] / 1e6:.2f} | {facts["FLOPs"] / 1e9:.1f} | {size}'
    return f'| `{model["Name"]}` | {numbers} | {metrics} |'


def gallery() -> str:
    """Every figure of docs/images, with what the page that shows it says of it."""
    said = {}
    for page in [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]:
        for label, image in re.findall(r'!\[([^\]]*)\]\(\S*?images/([^)]+)\)', page.read_text()):
            said.setdefault(image, (label, _MOVED.get(page.name, page.name)))
    cells = []
    for image in sorted((ROOT / 'docs' / 'images').glob('*.png')):
        label, page = said.get(image.name, (image.stem.replace('_', ' '), None))
        more = f' <a href="{page.replace(".md", ".html")}">More</a>' if page else ''
        picture = (
            f'<a href="images/{image.name}"><img src="images/{image.name}" alt="{escape(label)}" loading="lazy"></a>'
        )
        cells.append(f'<figure>{picture}<figcaption>{escape(label)}.{more}</figcaption></figure>')
    return '# Gallery\n\n<div class="gallery">\n' + '\n'.join(cells) + '\n</div>\n'


def _api_index() -> str:
    rows = '\n'.join(f'| [`mmsterf.{room}`](api/{room}.md) | {what} |' for room, what in ROOMS.items())
    return f'# Python\n\nFrom the docstrings.\n\n| module | what it holds |\n|---|---|\n{rows}\n'


def _api(room: str) -> str:
    """A page of a room: each of its modules once, where it stands."""
    folder = ROOT / 'mmsterf' / room
    modules = ['.'.join(path.relative_to(ROOT).with_suffix('').parts) for path in sorted(folder.rglob('[!_]*.py'))]
    parts = [f'## {name.removeprefix("mmsterf.")}\n\n::: {name}\n' for name in modules]
    return '\n'.join([f'# mmsterf.{room}\n\n{ROOMS[room]}.\n', *parts])


class ExamplesByTheirName(griffe.Extension):
    """Takes `Example:` for what docstrings call `Examples:` elsewhere; else its code would be read as prose."""

    def on_object(self, *, obj: griffe.Object, **_) -> None:
        """See griffe."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r'^Example:$', 'Examples:', obj.docstring.value, flags=re.M)
