# ruff: noqa: E501  (tables)
"""Bad inputs of every tool, by kind: what is given, and what the last line must name.

Each case is a name, a tool, its arguments, the text that the last line has to hold (one of several), and a function
that prepares the folder it runs in. Folders hold a tiny detection task (`detection.py`, `data/`) and a tiny segmentation
task (`segmentation.py`), `good.pth` of the first and `seg.pth` of the second.
"""

import copy
import io
import itertools
import json
import pickle
import random
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional

import cv2
import numpy as np
import torch


@dataclass
class Case:
    """One bad input."""

    name: str
    tool: str
    arguments: list
    names: tuple = ()
    prepare: Optional[Callable[[Path], None]] = None
    processes: dict = field(default_factory=dict)


def _edit(path: str, change: Callable) -> Callable[[Path], None]:
    """Change the content of a JSON file."""

    def prepare(folder: Path) -> None:
        content = json.loads((folder / path).read_text())
        changed = change(content)
        (folder / path).write_text(json.dumps(content if changed is None else changed))

    return prepare


def _write(path: str, content) -> Callable[[Path], None]:
    def prepare(folder: Path) -> None:
        file = folder / path
        file.unlink(missing_ok=True)
        if content is not None:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())

    return prepare


TRAIN = ('train', ['detection.py', '--work-dir', 'out'])
SEG_TRAIN = ('train', ['segmentation.py', '--work-dir', 'out'])
TEST = ('test', ['detection.py', 'good.pth', '--work-dir', 'out'])
SEG_TEST = ('test', ['segmentation.py', 'seg.pth', '--work-dir', 'out'])
ENERGY = ('analysis_tools/get_energy', ['detection.py', '--size', '32', '32', '--out', 'out'])
ST_ERF = ('analysis_tools/st_erf', ['detection.py', '--size', '32', '32', '--num', '1', '--out', 'out'])
CNN = ('analysis_tools/st_erf_cnn', ['--depths', '2', '--size', '16', '--num', '1', '--out', 'out'])
CONVERT = ('model_converters/published_to_mmsterf', [])
SCENES = ('dataset_converters/make_digit_scenes', ['--train', '1', '--val', '1', '--out', 'out'])
COUNT = ('analysis_tools/count_parameters', [])
DEMO = ('demo', ['--work-dir', 'out'])
CHECK = ('misc/check_data', ['detection.py'])
SEG_CHECK = ('misc/check_data', ['segmentation.py'])


def _with(start: tuple, *arguments: str) -> tuple:
    return start[0], [*start[1], *arguments]


# Config files ---------------------------------------------------------------------------------------------------------
CONFIGS = {
    'empty': '',
    'a syntax error': "_base_ = 'detection.py'\nmodel = dict(\n",
    'text': 'this is no Python',
    'an unknown name': "_base_ = 'detection.py'\nmodel = dict(backbone=dict(arch=nano))\n",
    'an unknown base': "_base_ = 'nowhere.py'\n",
    'an unknown package': "_base_ = 'mmnowhere::faster_rcnn/x.py'\n",
    'an unknown file of a package': "_base_ = 'mmdet::nowhere/x.py'\n",
    'a division by zero': "_base_ = 'detection.py'\nx = 1 / 0\n",
    'an import of nothing': 'import nowhere_at_all\n',
    'no task': "default_scope = 'mmpose'\nmodel = dict(type='X')\n",
    'binary': b'\x00\x01\x02\xff',
    'no UTF-8': b"_base_ = 'detection.py'\n# \xff\xfe\n",
    'itself as base': "_base_ = 'bad.py'\n",
    'model a list': "_base_ = 'detection.py'\nmodel = [1]\n",
    'no model': "default_scope = 'mmdet'\n",
    'an unknown type': "_base_ = 'detection.py'\nmodel = dict(backbone=dict(type='mmsterf.MetaSTD'))\n",
    'an unknown argument': "_base_ = 'detection.py'\nmodel = dict(backbone=dict(archs='nano'))\n",
    'an unknown hook': "_base_ = 'detection.py'\ncustom_hooks = [dict(type='NowhereHook')]\n",
    'a hook without type': "_base_ = 'detection.py'\ncustom_hooks = [dict(interval=1)]\n",
    'custom imports of nothing': "_base_ = 'detection.py'\ncustom_imports = dict(imports=['nowhere_at_all'])\n",
    'an indentation error': "_base_ = 'detection.py'\n  x = 1\n",
    'a base that is a number': '_base_ = 3\n',
    'an unknown optimizer': "_base_ = 'detection.py'\noptim_wrapper = dict(optimizer=dict(type='Adm'))\n",
    'an unknown scheduler': "_base_ = 'detection.py'\nparam_scheduler = [dict(type='Nowhere')]\n",
    'an unknown data set': "_base_ = 'detection.py'\ntrain_dataloader = dict(dataset=dict(type='Nowhere'))\n",
    'an unknown transform': "_base_ = 'detection.py'\ntrain_dataloader = dict(dataset=dict(pipeline=[dict(type='X')]))\n",
}


def configs() -> Iterator[Case]:
    """Config files that are none."""
    needs_data = ('hook', 'optimizer', 'scheduler', 'transform')
    for kind, text in CONFIGS.items():
        prepare = _write('bad.py', text)
        tools = [('train', ['bad.py', '--work-dir', 'out']), ('test', ['bad.py', 'good.pth', '--work-dir', 'out'])]
        if not any(word in kind for word in needs_data) and 'data set' not in kind:
            tools += [
                (ENERGY[0], ['bad.py', '--out', 'out', '--size', '32', '32']),
                (ST_ERF[0], ['bad.py', '--num', '1', '--out', 'out', '--size', '32', '32']),
                (COUNT[0], ['bad.py']),
            ]
        elif 'optimizer' in kind or 'scheduler' in kind:
            tools = tools[:1]
        elif 'data set' in kind or 'transform' in kind:
            tools = [tools[0], ('misc/check_data', ['bad.py'])]
        for tool, arguments in tools:
            yield Case(f'config: {kind}', tool, arguments, (), prepare)
    for tool, rest in (('train', []), ('test', ['good.pth']), (ENERGY[0], []), (ST_ERF[0], []), (COUNT[0], []),
                       ('misc/check_data', [])):  # fmt: skip
        yield Case('config: missing', tool, ['nowhere.py', *rest], ('nowhere.py',))
        yield Case('config: a folder', tool, ['data', *rest], ('data', 'config'))
        yield Case('config: a picture', tool, ['data/images/0.jpg', *rest], ('0.jpg', 'config'))


# --cfg-options --------------------------------------------------------------------------------------------------------
OPTIONS = [
    ('abc', 'abc'),
    ('=3', '=3'),
    ('a=[1,2', 'a=[1,2'),
    ('model.bakbone.arch=nano', 'bakbone'),
    ('model.backbone.archh=nano', 'archh'),
    ('train_dataloader.batchsize=2', 'batchsize'),
    ('train_dataloader.batch_size=two', 'two'),
    ('train_dataloader.batch_size=0', '0'),
    ('train_dataloader.batch_size=-1', '-1'),
    ('train_dataloader.num_workers=-1', '-1'),
    ('custom_hooks.9.interval=1', '9'),
    ('model.backbone=3', 'backbone'),
    ('model.backbone.arch=gigantic', 'gigantic'),
    ('model.backbone.mlp_ratio=0', 'mlp_ratio'),
    ('model.backbone.mlp_ratio=-1', 'mlp_ratio'),
    ('model.backbone.mlp_ratio=abc', 'mlp_ratio'),
    ('model.backbone.drop_path_rate=2', 'drop_path_rate'),
    ('model.backbone.drop_path_rate=-0.1', 'drop_path_rate'),
    ('model.backbone.drop_path_rate=x', 'drop_path_rate'),
    ('model.backbone.time_steps=0', 'time_steps'),
    ('model.backbone.time_steps=1.5', 'time_steps'),
    ('model.backbone.output=mean', 'mean'),
    ('model.backbone.frozen_stages=9', 'frozen_stages'),
    ('model.backbone.out_indices=[7]', 'out_indices'),
    ('model.backbone.out_indices=[]', 'out_indices'),
    ('model.backbone.out_indices=3', 'out_indices'),
    ('model.backbone.neuron.type=LFI', 'LFI'),
    ('model.backbone.neuron.type=LIF model.backbone.neuron.tau=0.5', 'tau'),
    ('model.backbone.neuron.type=LIF model.backbone.neuron.taau=2', 'taau'),
    ('model.backbone.neuron.type=ILIF model.backbone.neuron.max_count=0', 'max_count'),
    ('model.backbone.mixer.type=MLPicker', 'MLPicker'),
    ('model.backbone.mixer.layout=rows model.backbone.mixer.type=MLPixer', 'rows'),
    ('model.backbone.mixer.dropout=7 model.backbone.mixer.type=MLPixer', 'dropout'),
    ('model.backbone.residual_gain=nan', 'residual_gain'),
    ('model.neck.in_channels=[1,2,3,4]', '1'),
    ('model.data_preprocessor.std=[0,0,0]', 'std'),
    ('optim_wrapper.optimizer.lr=abc', 'abc'),
    ('optim_wrapper.optimizer.lr=-1', '-1'),
    ('optim_wrapper.optimizer.type=Adm', 'Adm'),
    ('train_cfg.max_epochs=0', '0'),
    ('train_cfg.max_epochs=-3', '-3'),
    ('train_cfg.max_epochs=many', 'many'),
    ('train_cfg.type=NowhereLoop', 'NowhereLoop'),
    ('default_scope=mmpose', 'mmpose'),
    ('data_root=/nowhere', '/nowhere'),
    ('default_hooks.checkpoint.interval=abc', 'abc'),
    ('randomness.seed=abc', 'abc'),
    ('randomness.seed=-1', '-1'),
    ('load_from=nowhere.pth', 'nowhere.pth'),
    ('load_from=detection.py', 'detection.py'),
    ('val_evaluator.metric=boox', 'boox'),
    ('val_evaluator.type=NowhereMetric', 'NowhereMetric'),
    ('model.roi_head.bbox_head.num_classes=7', 'num_classes'),
    ('env_cfg.nothing.here=1', 'nothing'),
    ('work_dir=data/instances.json', 'instances.json'),
]
ONLY_TRAINING = ('train_', 'optim', 'randomness', 'default_hooks', 'load_from', 'val_', 'env_cfg', 'work_dir')


def options() -> Iterator[Case]:
    """`--cfg-options` that say nothing, or the wrong thing."""
    for text, named in OPTIONS:
        words = text.split()
        # Either what was set, or its value.
        names = (named, *(word.partition('=')[0].rpartition('.')[2] for word in words if '=' in word[1:]))
        arguments = ['detection.py', '--cfg-options', *words]
        if not text.startswith('work_dir'):
            arguments[1:1] = ['--work-dir', 'out']
        yield Case(f'option: {text}', 'train', arguments, names)
        if text.startswith(ONLY_TRAINING):
            continue
        if 'residual_gain' not in text:
            yield Case(f'option: {text}', 'test', ['detection.py', 'good.pth', *arguments[1:]], names)
        if 'num_classes' in text or 'data_root' in text or 'std' in text:
            continue
        # They take any config; fields of the stages do not ask for the neck.
        for tool in () if 'default_scope' in text else (ENERGY,) if 'neck' in text else (ENERGY, ST_ERF):
            yield Case(f'option: {text}', *_with(tool, '--cfg-options', *words), names)
    yield Case('option: with spaces', *_with(TRAIN, '--cfg-options', 'train_cfg.max_epochs', '=', '2'), ())


# Numbers --------------------------------------------------------------------------------------------------------------
BAD_NUMBERS = ('0', '-1', '-5', 'nan', 'inf', 'abc', '1.5', '', '99999999999999999999')


def numbers() -> Iterator[Case]:
    """Numbers out of range, and no numbers."""
    flags = [
        (ENERGY, '--num', ()), (ENERGY, '--mac', ('0', '1.5', '99999999999999999999')), (ENERGY, '--ac', ('0', '1.5', '99999999999999999999')),
        (ENERGY, '--calibrate', ('0', '99999999999999999999')), (ENERGY, '--seed', ('0',)),
        (ST_ERF, '--num', ()), (ST_ERF, '--batch-size', ('99999999999999999999',)), (ST_ERF, '--seed', ('0',)),
        (ST_ERF, '--calibrate', ('0', '99999999999999999999')), (ST_ERF, '--time-steps', ('99999999999999999999',)),
        (CNN, '--num', ()), (CNN, '--size', ()), (CNN, '--depths', ()), (CNN, '--kernels', ()), (CNN, '--time-steps', ()),
        (CNN, '--seed', ('0',)), (CNN, '--taus', ('1.5', '99999999999999999999')),
        (SCENES, '--train', ('0',)), (SCENES, '--val', ('0',)), (SCENES, '--seed', ('0', '99999999999999999999')),
        (SCENES, '--rotate', ('0', '1.5')),
        (DEMO, '--train', ('0',)), (DEMO, '--val', ('0',)), (DEMO, '--length', ()),
        (TEST, '--wait-time', ('0', '1.5', '99999999999999999999')),
    ]  # fmt: skip
    for tool, flag, fine in flags:
        for value in BAD_NUMBERS:
            if value not in fine:
                # argparse takes a negative number for an option unless it is tied to its flag.
                yield Case(f'number: {flag}={value}', *_with(tool, f'{flag}={value}'), (flag, value or 'number'))
    for tool in (ENERGY, ST_ERF):
        for size in (('0', '0'), ('-5', '32'), ('32', 'x'), ('32',), ('8', '8'), ('99999999', '99999999')):
            yield Case(f'number: --size {size}', *_with(tool, '--size', *size), ('size', *size))
    for size in (('0', '0'), ('64',), ('x', 'y'), ('1', '1')):
        yield Case(f'number: --size {size}', *_with(SCENES, '--size', *size), ('size',))
    for digits in (('0', '0'), ('3', '1'), ('-1', '2'), ('x', '2')):
        yield Case(f'number: --digits {digits}', *_with(SCENES, '--digits', *digits), ('digits', '-1'))
    for scale in (('0', '0'), ('30', '10'), ('900', '999')):
        yield Case(f'number: --scale {scale}', *_with(SCENES, '--scale', *scale), ('scale',))
    for position in (('9', '9999'), ('x', 'y'), ('1.5', '0.5'), ('1',), ('-1.0', '0.2'), ('nan', 'nan')):
        yield Case(f'number: --position {position}', *_with(ST_ERF, '--position', *position), ('position',))
    for step in ('7', 'first', '-3'):
        yield Case(f'number: --step {step}', *_with(ST_ERF, f'--step={step}'), ('step',))
    for time in ('never', ''):
        yield Case(f'number: --input-time {time}', *_with(ST_ERF, f'--input-time={time}'), ('input-time', 'input_time'))
    for layers in ('nothing', 'backbone.nowhere.*', '', 'backbone:99', 'backbone:x'):
        yield Case(f'layers: {layers!r}', *_with(ST_ERF, '--layers', layers), (layers or 'layers',))
    yield Case('neurons: unknown', *_with(CNN, '--neurons', 'LFI'), ('LFI',))
    yield Case('surrogates: unknown', *_with(CNN, '--surrogates', 'Nope'), ('Nope',))
    yield Case('kernels: even', *_with(CNN, '--kernels', '4'), ('kernel',))


# Devices --------------------------------------------------------------------------------------------------------------
def devices() -> Iterator[Case]:
    """Devices that are not there, and unknown ones."""
    for tool, device in itertools.product((ENERGY, ST_ERF), ('cuda:9', 'gpu', 'cpu:x', '', 'meta', 'xpu', '0')):
        yield Case(f'device: {device!r}', *_with(tool, f'--device={device}'), (device or 'device',))
    for launcher in ('slurm', 'nothing'):
        yield Case(f'launcher: {launcher}', *_with(TRAIN, '--launcher', launcher), (launcher,))
    for count in ('x', '0', '-1', '1.5', ''):
        yield Case(f'processes: {count!r}', 'dist_train.sh', ['detection.py', count], (count or 'GPUS',))
        yield Case(f'processes: {count!r}', 'dist_test.sh', ['detection.py', 'good.pth', count], (count or 'GPUS',))
        yield Case(
            f'processes: GPUS={count!r}', 'slurm_train.sh', ['part', 'job', 'detection.py', 'out'],
            (count or 'GPUS', 'GPUS'), processes={'GPUS': count or 'x'},
        )  # fmt: skip
    for script in ('dist_train.sh', 'dist_test.sh', 'slurm_train.sh'):
        yield Case('processes: none given', script, [], ('usage',))


# Annotations ----------------------------------------------------------------------------------------------------------
def _entry(**changes) -> Callable:
    def change(coco: dict) -> None:
        for key, value in changes.items():
            if value is _GONE:
                coco['annotations'][0].pop(key)
            else:
                coco['annotations'][0][key] = value

    return change


_GONE = object()
ANNOTATIONS = {
    'empty': b'', 'cut off': b'{"images": [{"id": 1', 'a list': b'[]', 'text': b'hello', 'a number': b'3', 'null': b'null',
    'binary': bytes(range(256)), 'no object': b'{}',
    'no images': lambda c: {k: v for k, v in c.items() if k != 'images'},
    'no categories': lambda c: {k: v for k, v in c.items() if k != 'categories'},
    'no annotations': lambda c: {k: v for k, v in c.items() if k != 'annotations'},
    'images empty': lambda c: {**c, 'images': []},
    'categories empty': lambda c: {**c, 'categories': []},
    'images a dict': lambda c: {**c, 'images': {}},
    'no bbox': _entry(bbox=_GONE), 'bbox null': _entry(bbox=None), 'bbox text': _entry(bbox='1,2,3,4'),
    'bbox of three': _entry(bbox=[1, 2, 3]), 'bbox with NaN': _entry(bbox=[1, 2, float('nan'), 4]),
    'bbox of no size': _entry(bbox=[1, 2, 0, 0]), 'bbox negative': _entry(bbox=[10, 10, -5, -5]),
    'bbox outside': _entry(bbox=[1000, 1000, 5, 5]), 'bbox infinite': _entry(bbox=[0, 0, float('inf'), 5]),
    'no category': _entry(category_id=_GONE), 'an unknown category': _entry(category_id=77),
    'category text': _entry(category_id='dog'), 'no image': _entry(image_id=_GONE), 'an unknown image': _entry(image_id=77),
    'no id': _entry(id=_GONE), 'a duplicate id': lambda c: c['annotations'][1].update(id=c['annotations'][0]['id']),
    'a duplicate image': lambda c: c['images'][1].update(id=c['images'][0]['id']),
    'a duplicate category': lambda c: c['categories'][1].update(id=1),
    'other classes': lambda c: {**c, 'categories': [{'id': 1, 'name': 'cat'}, {'id': 2, 'name': 'dog'}]},
    'classes swapped': lambda c: {**c, 'categories': c['categories'][::-1]},
    'a misspelt class': lambda c: c['categories'][0].update(name='lihgt'),
    'an image without file': lambda c: c['images'][0].pop('file_name'),
    'an image without size': lambda c: c['images'][0].pop('height'),
    'an image of no size': lambda c: c['images'][0].update(height=0),
    'an image of another size': lambda c: c['images'][0].update(height=480, width=640),
    'a missing picture': lambda c: c['images'][0].update(file_name='nowhere.jpg'),
}  # fmt: skip
FINE = ('classes swapped',)
"""Not wrong by themselves: refused only where order tells classes."""


def annotations() -> Iterator[Case]:
    """COCO files that are none, or hold what is none."""
    for kind, change in ANNOTATIONS.items():
        if kind in FINE:
            continue
        prepare = (
            _write('data/instances.json', change) if isinstance(change, bytes) else _edit('data/instances.json', change)
        )
        for tool in (TRAIN, TEST, CHECK):
            # What is wrong in one entry of the training is found when met or before; the whole set is by check_data.
            names = ('instances.json', 'nowhere.jpg', *(['images/0.jpg is of'] if 'size' in kind else []))
            yield Case(f'annotations: {kind}', *tool, names, prepare)
    for tool in (TRAIN, TEST, CHECK):
        yield Case('annotations: missing', *tool, ('instances.json',), _write('data/instances.json', None))


# Pictures and label maps ----------------------------------------------------------------------------------------------
def _picture(array: np.ndarray, ending: str = '.jpg') -> bytes:
    return cv2.imencode(ending, array)[1].tobytes()


PICTURES = {
    'missing': None, 'empty': b'', 'text': b'hello', 'cut off': _picture(np.zeros((48, 64, 3), np.uint8))[:80],
    'a web page': b'<html></html>', 'binary': bytes(range(256)),
}  # fmt: skip
LABELS = {
    'missing': None, 'empty': b'', 'text': b'hello', 'cut off': _picture(np.ones((48, 64), np.uint8), '.png')[:40],
    '1x1': _picture(np.ones((1, 1), np.uint8), '.png'), 'of colours': _picture(np.ones((48, 64, 3), np.uint8), '.png'),
    'of classes that are not there': _picture(np.full((48, 64), 77, np.uint8), '.png'),
    'of another size': _picture(np.ones((20, 30), np.uint8), '.png'),
}  # fmt: skip


def pictures() -> Iterator[Case]:
    """Pictures and label maps that cannot be read, or do not fit."""
    for kind, content in PICTURES.items():
        prepare = _write('data/images/0.jpg', content)
        for tool in (TRAIN, TEST, CHECK, SEG_CHECK) if content is not None else (TRAIN, TEST, CHECK):
            yield Case(f'picture: {kind}', *tool, ('0.jpg',), prepare)
        if content is not None:
            for tool in (SEG_TRAIN, SEG_TEST):
                yield Case(f'picture: {kind}', *tool, ('0.jpg',), prepare)
        bad = _write('bad.jpg', content)
        yield Case(f'picture: {kind}', *_with(ENERGY, '--input', 'bad.jpg'), ('bad.jpg',), bad)
        yield Case(f'picture: {kind}', *_with(ST_ERF, '--input', 'bad.jpg'), ('bad.jpg',), bad)
    yield Case('picture: a folder', *_with(ENERGY, '--input', 'data'), ('data',))
    yield Case('picture: a folder', *_with(ST_ERF, '--input', 'data'), ('data',))
    for kind, content in LABELS.items():
        for tool in (SEG_TRAIN, SEG_TEST, SEG_CHECK):
            yield Case(f'label map: {kind}', *tool, ('0.png',), _write('data/labels/0.png', content))


# Checkpoints ----------------------------------------------------------------------------------------------------------
def _saved(value) -> bytes:
    stream = io.BytesIO()
    torch.save(value, stream)
    return stream.getvalue()


def _archive(name: str) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, 'w') as archive:
        archive.writestr(name, 'x')
    return stream.getvalue()


class _Call:
    def __reduce__(self):
        return open, ('victim', 'w')


class _Nested:
    """An object that only its own code restores."""


CHECKPOINTS = {
    'missing': None, 'empty': b'', 'text': b'hello\n', 'a web page': b'<!doctype html>', 'binary': bytes(range(256)) * 5,
    'a zip without content': _archive('nothing.txt'), 'arrays': _archive('a.npy'), 'HDF5': b'\x89HDF\r\n\x1a\n' + bytes(99),
    'safetensors': (16).to_bytes(8, 'little') + b'{"a":{}}        ', 'a pointer': b'version https://git-lfs.github.com/\n',
    'a list': _saved([1]), 'a tensor': _saved(torch.ones(1)), 'an empty dict': _saved({}), 'no tensors': _saved({'a': 1}),
    'an empty state dict': _saved({'state_dict': {}}), 'a plain pickle': pickle.dumps([1]), 'code': _saved({'m': _Call()}),
    'an unknown object': _saved({'state_dict': {'a': _Nested()}}), 'cut off': _saved({'a': torch.ones(999)})[:700],
    'cut off early': _saved({'a': torch.ones(999)})[:50], 'nested': _saved({'state_dict': {'a': {'b': {'c': 1}}}}),
    'another model': _saved({'state_dict': {'other.weight': torch.ones(2)}}), 'None': _saved(None),
    'keys that are numbers': _saved({'state_dict': {1: torch.ones(1)}}),
}  # fmt: skip


def checkpoints() -> Iterator[Case]:
    """Files that are no checkpoint, or another one."""
    for kind, content in CHECKPOINTS.items():
        prepare = _write('bad.pth', content)
        for tool, arguments in (
            ('test', ['detection.py', 'bad.pth', '--work-dir', 'out']),
            _with(TRAIN, '--resume', 'bad.pth'),
            _with(TRAIN, '--cfg-options', 'load_from=bad.pth'),
            _with(TRAIN, '--cfg-options', 'model.backbone.init_cfg.type=Pretrained',
                  'model.backbone.init_cfg.checkpoint=bad.pth'),
            (ENERGY[0], ['detection.py', 'bad.pth', *ENERGY[1][1:]]),
            (ST_ERF[0], ['detection.py', 'bad.pth', *ST_ERF[1][1:]]),
            (CONVERT[0], ['bad.pth', 'out.pth']),
        ):  # fmt: skip
            yield Case(
                f'checkpoint: {kind}',
                tool,
                arguments,
                ('bad.pth', 'other.weight', 'not a published', 'weights'),
                prepare,
            )
    for tool in (('test', ['detection.py', 'seg.pth']), ('test', ['segmentation.py', 'good.pth'])):
        yield Case('checkpoint: of another task', tool[0], [*tool[1], '--work-dir', 'out'], ('does not fit',))
    for tool in (
        ('test', ['detection.py', 'data']),
        _with(TRAIN, '--resume', 'data'),
        (CONVERT[0], ['data', 'out.pth']),
    ):
        yield Case('checkpoint: a folder', *tool, ('data',))
    address = 'http://127.0.0.1:9/x.pth'
    for tool in (('test', ['detection.py', address, '--work-dir', 'out']), (CONVERT[0], [address, 'out.pth'])):
        yield Case('checkpoint: an address where nobody is', *tool, ('127.0.0.1',))


# Outputs --------------------------------------------------------------------------------------------------------------
def outputs() -> Iterator[Case]:
    """Places that cannot be written, and files of others."""
    for place in ('data/instances.json', '/proc/nowhere', 'data/instances.json/below', 'x' * 300, '/dev/null'):
        for tool in (TRAIN, TEST, SEG_TRAIN, SEG_TEST):
            yield Case(
                f'output: --work-dir {place[:20]}', tool[0], [*tool[1][:-1], place], (place[:100], 'instances.json')
            )
        for tool in (ENERGY, ST_ERF, CNN, SCENES):
            yield Case(f'output: --out {place[:20]}', *_with(tool, '--out', place), (place[:100], 'instances.json'))
        yield Case(
            f'output: --show-dir {place[:20]}', *_with(TEST, '--show-dir', place), (place[:100], 'instances.json')
        )
        if place not in ('data/instances.json', '/dev/null'):  # refused as it is there; may be written by root
            yield Case(f'output: --out {place[:20]}', *_with(TEST, '--out', f'{place}.pkl'), (place[:100], '.pkl'))
    yield Case('output: --out of no kind', *_with(TEST, '--out', 'x.txt'), ('x.txt',))
    yield Case('output: --out a file', *_with(SEG_TEST, '--out', 'data/instances.json'), ('instances.json',))
    yield Case('output: --out nothing', *_with(TEST, '--out', ''), ('--out',))
    yield Case(
        'output: DST there', CONVERT[0], ['good.pth', 'seg.pth'], ('seg.pth', 'not a published', 'names already')
    )
    yield Case(
        'output: no folder', CONVERT[0], ['good.pth', 'nowhere/x.pth'], ('nowhere', 'not a published', 'names already')
    )
    yield Case('output: other files', *_with(SCENES, '--out', 'data'), ('data',))


# Classes --------------------------------------------------------------------------------------------------------------
def classes() -> Iterator[Case]:
    """Class names that are not those of the data."""
    for text in ("('dgo','light')", "('dark','light')", "('light',)", '()', "('light','dark','third')", "'light'"):
        for split in ('train', 'val'):
            config = (
                f"_base_ = 'detection.py'\n{split}_dataloader = dict(dataset=dict(metainfo=dict(classes={text})))\n"
            )
            yield Case(f'classes of {split}: {text}', 'train', ['bad.py', '--work-dir', 'out'],
                       ('dgo', 'dark', 'light', 'class'), _write('bad.py', config))  # fmt: skip
        config = f"_base_ = 'detection.py'\ntest_dataloader = dict(dataset=dict(metainfo=dict(classes={text})))\n"
        yield Case(f'classes of test: {text}', 'test', ['bad.py', 'good.pth', '--work-dir', 'out'],
                   ('dgo', 'dark', 'light', 'class'), _write('bad.py', config))  # fmt: skip


# Arguments ------------------------------------------------------------------------------------------------------------
def arguments() -> Iterator[Case]:
    """What argparse refuses by itself, and options that do not go together."""
    for tool in (
        'train',
        'test',
        ENERGY[0],
        ST_ERF[0],
        CNN[0],
        CONVERT[0],
        SCENES[0],
        COUNT[0],
        'demo',
        'misc/check_data',
    ):
        yield Case('arguments: an unknown flag', tool, ['--nowhere'], ('--nowhere', 'required'))
    for tool in ('train', 'test', ENERGY[0], ST_ERF[0], CONVERT[0], COUNT[0], 'misc/check_data'):
        yield Case('arguments: none', tool, [], ('required', 'no model'))
    yield Case('arguments: --resume of weights alone', *_with(TRAIN, '--resume', 'weights.pth'), ('weights.pth',))
    yield Case('arguments: --auto-scale-lr', *_with(SEG_TRAIN, '--auto-scale-lr'), ('auto_scale_lr',))
    yield Case('arguments: a task', 'demo', ['--task', 'cls'], ('cls',))
    yield Case('arguments: a family', CONVERT[0], ['good.pth', 'out.pth', '--family', 'Swin'], ('Swin',))
    yield Case('arguments: a checkpoint first', ST_ERF[0], ['good.pth', 'detection.py'], ('good.pth',))


def mutated(seed: int) -> Iterator[Case]:
    """Annotation files with a random value put in a random place: nothing but one line, or a training."""
    rng = random.Random(seed)
    values = [None, -1, 0, 1e30, '', 'x', [], {}, [1], True, float('nan')]
    for index in itertools.count():
        choice = copy.deepcopy(rng.choice(values))
        part = rng.choice(['images', 'annotations', 'categories'])
        at = rng.random()

        def change(coco: dict, choice=choice, part=part, at=at) -> None:
            entry = coco[part][int(at * len(coco[part]))]
            entry[sorted(entry)[int(at * 7919) % len(entry)]] = choice

        yield Case(f'mutation {index}: {part} {choice!r}', *CHECK, (), _edit('data/instances.json', change))
