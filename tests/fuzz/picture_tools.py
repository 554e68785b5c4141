# ruff: noqa: E501  (tables)
"""Bad inputs of the tools that take one's own pictures: predict.py, browse.py, and export.py beside them."""

from collections.abc import Iterator

from cases import ANNOTATIONS, CHECKPOINTS, CONFIGS, LABELS, PICTURES, Case, _edit, _write

PREDICT = ('predict', ['detection.py', 'good.pth', 'data/images/0.jpg', '--out', 'out'])
BROWSE = ('browse', ['detection.py', '--out', 'out/sheet.png'])
EXPORT = (
    'deployment/export',
    ['detection.py', 'good.pth', '--format', 'torch', '--size', '64', '64', '--out', 'out/m.pt2'],
)
NEEDS_DATA = ('hook', 'optimizer', 'scheduler', 'transform', 'data set')


def _with(start: tuple, *arguments: str) -> tuple:
    return start[0], [*start[1], *arguments]


def _inputs(*inputs: str) -> tuple:
    return 'predict', ['detection.py', 'good.pth', *inputs, '--out', 'out']


def predicting() -> Iterator[Case]:
    """Configs, checkpoints, inputs and outputs of predict.py."""
    for kind, text in CONFIGS.items():
        if not any(word in kind for word in NEEDS_DATA):
            arguments = ['bad.py', 'good.pth', 'data/images/0.jpg', '--out', 'out']
            yield Case(f'config: {kind}', 'predict', arguments, (), _write('bad.py', text))
    for kind, content in CHECKPOINTS.items():
        arguments = ['detection.py', 'bad.pth', 'data/images/0.jpg', '--out', 'out']
        names = ('bad.pth', 'other.weight', 'weights')
        yield Case(f'checkpoint: {kind}', 'predict', arguments, names, _write('bad.pth', content))
    yield Case('checkpoint: of another task', 'predict', ['detection.py', 'seg.pth', 'data/images/0.jpg', '--out', 'out'],
               ('does not fit',))  # fmt: skip
    for kind, content in PICTURES.items():
        yield Case(f'picture: {kind}', *_inputs('bad.jpg'), ('bad.jpg',), _write('bad.jpg', content))
        yield Case(f'picture: {kind}', 'predict', ['segmentation.py', 'seg.pth', 'bad.jpg', '--out', 'out'],
                   ('bad.jpg',), _write('bad.jpg', content))  # fmt: skip
    for ending in ('.mp4', '.avi', '.dat', '.raw', '.npy'):
        yield Case(
            f'input: text as {ending}', *_inputs(f'bad{ending}'), (f'bad{ending}',), _write(f'bad{ending}', 'hello')
        )
    yield Case('input: a folder without pictures', *_inputs('data'), ('data',))
    yield Case('input: a pattern of nothing', *_inputs('data/*.gif'), ('data/*.gif',))
    yield Case('input: an address', *_inputs('http://127.0.0.1:9/x.jpg'), ('127.0.0.1',))
    yield Case('input: nothing', *_inputs(''), ('', 'INPUT'))
    yield Case('input: the config', *_inputs('detection.py'), ('detection.py',))
    for value in ('x', '', '-0.1', '1.5', 'nan', 'inf'):
        yield Case(f'number: --score {value}', *_with(PREDICT, f'--score={value}'), ('--score',))
    for value in ('x', '', '0', '-1', '1.5'):
        yield Case(f'number: --every {value}', *_with(PREDICT, f'--every={value}'), ('--every',))
    for value in ('cuda:9', 'gpu', '', 'xpu'):
        yield Case(f'device: {value!r}', *_with(PREDICT, f'--device={value}'), (value or 'device',))
    yield Case('backend: unknown', *_with(PREDICT, '--backend', 'tensorrt'), ('tensorrt',))
    for place in ('data/instances.json', '/proc/nowhere', 'data/instances.json/below', 'x' * 300):
        yield Case(f'output: --out {place[:20]}', *_with(PREDICT, '--out', place), (place[:100], 'instances.json'))
    for option in ('model.nowhere=1', 'nowhere', 'model.backbone.arch=nowhere'):
        yield Case(f'option: {option}', *_with(PREDICT, '--cfg-options', option), ('nowhere',))
    yield Case('arguments: none', 'predict', [], ('required',))
    yield Case('arguments: an unknown flag', *_with(PREDICT, '--nowhere'), ('--nowhere',))


def browsing() -> Iterator[Case]:
    """Configs, data and outputs of browse.py."""
    for kind, text in CONFIGS.items():
        if not any(word in kind for word in ('hook', 'optimizer', 'scheduler', 'unknown type', 'unknown argument')):
            yield Case(f'config: {kind}', 'browse', ['bad.py', '--out', 'out/sheet.png'], (), _write('bad.py', text))
    for kind, content in PICTURES.items():
        yield Case(f'picture: {kind}', *_with(BROWSE, '--num', '100'), ('0.jpg',), _write('data/images/0.jpg', content))
    for kind, content in LABELS.items():
        if kind not in ('of classes that are not there', '1x1'):
            yield Case(f'label map: {kind}', 'browse', ['segmentation.py', '--out', 'out/s.png', '--num', '100'],
                       ('0.png',), _write('data/labels/0.png', content))  # fmt: skip
    for kind, change in ANNOTATIONS.items():
        if isinstance(change, bytes) or kind.startswith('no '):
            prepare = _write('data/instances.json', change) if isinstance(change, bytes) else None
            prepare = prepare or _edit('data/instances.json', change)
            yield Case(f'annotations: {kind}', *BROWSE, ('instances.json',), prepare)
    for value in ('x', '', '0', '-1', '1.5'):
        yield Case(f'number: --num {value}', *_with(BROWSE, f'--num={value}'), ('--num',))
    for place in (
        'data/instances.json',
        '/proc/nowhere/x.png',
        'data/instances.json/x.png',
        'x' * 300 + '.png',
        'x.txt',
    ):
        yield Case(f'output: --out {place[:20]}', *_with(BROWSE, '--out', place), (place[:100], 'instances.json'))
    yield Case('split: unknown', *_with(BROWSE, '--split', 'all'), ('all',))


def exporting() -> Iterator[Case]:
    """Configs, checkpoints and outputs of export.py."""
    for kind, text in CONFIGS.items():
        if not any(word in kind for word in NEEDS_DATA):
            arguments = ['bad.py', '--format', 'torch', '--size', '64', '64', '--out', 'out/m.pt2']
            yield Case(f'config: {kind}', 'deployment/export', arguments, (), _write('bad.py', text))
    for kind, content in CHECKPOINTS.items():
        arguments = ['detection.py', 'bad.pth', *EXPORT[1][2:]]
        names = ('bad.pth', 'other.weight', 'weights')
        yield Case(f'checkpoint: {kind}', EXPORT[0], arguments, names, _write('bad.pth', content))
    for value in ('0', '-64', 'x', '1.5'):
        yield Case(f'number: --size {value}', *_with(EXPORT, '--size', value, '64'), ('--size', value))
    yield Case('format: unknown', *_with(EXPORT, '--format', 'tflite'), ('tflite',))
    yield Case('part: unknown', *_with(EXPORT, '--part', 'neck'), ('neck',))
    for place in ('data/instances.json', '/proc/nowhere/m.pt2', 'data/instances.json/m.pt2', 'x' * 300):
        yield Case(f'output: --out {place[:20]}', *_with(EXPORT, '--out', place), (place[:100], 'instances.json'))
    yield Case('arguments: none', EXPORT[0], [], ('required',))
