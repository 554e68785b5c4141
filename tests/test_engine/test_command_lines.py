"""What all command lines share: numbers and devices, --cfg-options, outputs, settings."""

import argparse
import json

import pytest
from mmengine.config import Config, DictAction

from mmsterf.engine import arguments
from mmsterf.engine.cfg_keys import merge_options
from mmsterf.engine.cfg_options import parse_options, parse_value
from mmsterf.engine.config import read_config
from mmsterf.engine.outputs import ResultFolder, check_new_file, check_writable
from mmsterf.engine.settings import check_settings
from mmsterf.errors import InvalidInput


@pytest.mark.parametrize(
    ('kind', 'text', 'said'),
    [
        (arguments.count, '0', 'must be at least 1, got 0'),
        (arguments.count, 'x', "must be a whole number, got 'x'"),
        (arguments.count, '1.5', 'must be a whole number'),
        (arguments.side, '-5', 'must be at least 1, got -5'),
        (arguments.seed, '4294967296', 'must be at most 4294967295'),
        (arguments.number(0), 'nan', 'must be a finite number, got nan'),
        (arguments.number(0), '1e400', 'must be a finite number'),
        (arguments.number(above=0), '0', 'must be larger than 0, got 0'),
        (arguments.device, 'foo', "'foo' is no device; valid here: cpu"),
        (arguments.device, 'meta', "'meta' is no device"),
        (arguments.device, 'cuda:99', 'is not on this machine; valid here: cpu'),
        (arguments.file_name, ' ', 'must be the name of a file'),
    ],
)
def test_arguments_out_of_range(kind, text, said):
    with pytest.raises(argparse.ArgumentTypeError) as error:
        kind(text)
    assert said in str(error.value)


def test_arguments_in_range():
    assert arguments.count('3') == 3 and arguments.number(0)('4.6') == 4.6 and arguments.device('cpu') == 'cpu'


@pytest.mark.parametrize(
    'text', ['1', '1.5', '1e-3', 'true', 'None', 'a', '1,2', '[1,2]', '(1,2)', '[(1,2),[a,b],c]', '[]', '-1', '"[a,b]"']
)
def test_values_are_read_as_by_mmengine(text):
    assert parse_value(text) == DictAction._parse_iterable(text)


def test_values_that_mmengine_misreads():
    assert parse_value('two words') == 'two words'
    assert parse_value("['a, b', c d]") == ['a, b', 'c d']
    assert parse_value("{'type': 'SGD', 'lr': 0.1}") == {'type': 'SGD', 'lr': 0.1}
    assert parse_options(['a.b=x=y', 'c=']) == {'a.b': 'x=y', 'c': ''}


@pytest.mark.parametrize('item', ['abc', '=3', 'a=[1,2', 'a=(1]', 'a=1)', '.=1', 'a..b=1', 'a={b'])
def test_items_that_are_no_options(item):
    with pytest.raises(InvalidInput) as error:
        parse_options([item])
    assert repr(item) in str(error.value)


CONFIG = """
default_scope = 'mmdet'
model = dict(type='FasterRCNN', backbone=dict(type='mmsterf.MetaSDT', arch='tiny'), neck=None, test_cfg=dict(a=1))
train_dataloader = dict(batch_size=2, num_workers=0, dataset=dict(type='CocoDataset', pipeline=[dict(type='Resize')]))
val_dataloader = train_dataloader
val_evaluator = dict(type='CocoMetric')
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=2)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))
param_scheduler = [dict(type='LinearLR', begin=0, end=5)]
default_hooks = dict(checkpoint=dict(type='CheckpointHook', interval=1))
env_cfg = dict(mp_cfg=dict(mp_start_method='fork'))
"""


@pytest.fixture
def cfg(tmp_path):
    path = tmp_path / 'config.py'
    path.write_text(CONFIG)
    return Config.fromfile(path)


@pytest.mark.parametrize(
    ('option', 'said'),
    [
        ('model.bakbone.arch=nano', "nothing reads 'bakbone' in model; did you mean model.backbone?"),
        ('optim_wraper.optimizer.lr=1', 'did you mean optim_wrapper?'),
        ('optim_wrapper.optimizer.lrr=1', 'did you mean optim_wrapper.optimizer.lr?'),
        ('model.backbone.drop_path_rat=0.1', 'did you mean model.backbone.drop_path_rate?'),
        ('train_dataloader.batch_sise=1', 'did you mean train_dataloader.batch_size'),
        ('train_dataloader.dataset.indicess=1', 'did you mean train_dataloader.dataset.indices'),
        ('train_dataloader.dataset.pipeline.7.type=A', 'pipeline is a list, its indices are 0 to 0, got'),
        ('param_scheduler.x.end=3', "param_scheduler is a list, its indices are 0 to 0, got 'x'"),
        ('custom_hooks.9.interval=1', 'the config has no custom_hooks, and so no 9 in it'),
        ('model.backbone.arch.x=1', "model.backbone.arch is 'tiny' and has no key 'x'"),
        ('model.backbone=tiny', 'model.backbone is a dict and cannot become'),
        ('launcher=pytorch', 'the option --launcher tells'),
        ('param_scheduler=3', 'is a list of dicts and cannot become 3'),
        ('env_cfg.nothing.here=1', "nothing reads 'nothing' in env_cfg; valid are cudnn_benchmark, dist_cfg, mp_cfg"),
        ('env_cfg.mp_cfg.opencv_threads=1', 'did you mean env_cfg.mp_cfg.opencv_num_threads?'),
    ],
)
def test_options_that_nothing_reads(cfg, option, said):
    before = cfg.pretty_text
    with pytest.raises(InvalidInput) as error:
        merge_options(cfg, parse_options([option]))
    assert said in str(error.value) and cfg.pretty_text == before


@pytest.mark.parametrize(
    'option',
    [
        'model.backbone.drop_path_rate=0.2',
        'default_hooks.checkpoint.save_best=auto',
        'train_dataloader.dataset.indices=8',
        'train_dataloader.prefetch_factor=2',
        'resume=True',
        'load_from=a.pth',
        'randomness.seed=3',
        'model.neck.type=FPN',
        'model.test_cfg.anything=1',
        'optim_wrapper.clip_grad.max_norm=1',
        'train_dataloader.dataset.pipeline.0.scale=(3,4)',
        'custom_hooks=[]',
        'val_evaluator=None',
        'env_cfg.cudnn_benchmark=True',
        'env_cfg.dist_cfg.timeout=60',
    ],
)
def test_options_that_something_reads(cfg, option):
    merge_options(cfg, parse_options([option]))
    ((key, value),) = parse_options([option]).items()
    node = cfg
    for part in key.split('.'):
        node = node[int(part) if part.isdigit() else part]
    assert node == value


@pytest.mark.parametrize(
    ('option', 'said'),
    [
        ('train_dataloader.batch_size=0', 'train_dataloader.batch_size is 0: must be at least 1'),
        ('train_dataloader.num_workers=-1', 'train_dataloader.num_workers is -1: must be at least 0'),
        ('train_cfg.max_epochs=0', 'train_cfg.max_epochs is 0: must be at least 1'),
        ('train_cfg.val_interval=0', 'train_cfg.val_interval is 0'),
        ('optim_wrapper.optimizer.lr=abc', "optim_wrapper.optimizer.lr is 'abc': must be a finite number"),
        ('optim_wrapper.optimizer.lr=nan', 'optim_wrapper.optimizer.lr is nan: must be a finite number'),
        ('optim_wrapper.optimizer.lr=-1', 'optim_wrapper.optimizer.lr is -1: must be at least 0'),
        ('train_dataloader.dataset.pipeline=[]', 'train_dataloader.dataset.pipeline is []: must be a list of steps'),
        ('optim_wrapper=None', 'the config has no optim_wrapper, which training needs'),
        ('val_evaluator=None', 'the config has val_dataloader but no val_evaluator'),
        ('randomness.seed=-1', 'randomness.seed is -1'),
        ('default_hooks.checkpoint.interval=0', 'default_hooks.checkpoint.interval is 0'),
        ('param_scheduler.0.begin=7', 'param_scheduler.0: begin 7 must be smaller than end 5'),
    ],
)
def test_settings_out_of_range(cfg, option, said):
    check_settings(cfg, 'train')
    merge_options(cfg, parse_options([option]))
    with pytest.raises(InvalidInput) as error:
        check_settings(cfg, 'train')
    assert said in str(error.value)


@pytest.mark.parametrize(
    ('text', 'said'),
    [
        ('a = (', r'own\.py, line 1: .*was never closed'),
        ('a = 1\nb = c', r"own\.py, line 2: NameError: name 'c' is not defined"),
        ('_base_ = "./nothing.py"', r'nothing\.py is not a file \(a _base_ of '),
        ('_base_ = "./own"', r'own is not a file \(a _base_ of .*own\.py is one'),
        ('_base_ = "./own.py"', 'inherit from each other in a circle'),
        ('_base_ = "mmnothing::a/b.py"', r'own\.py.*mmnothing'),
        ('custom_imports = dict(imports=["mmnothing"])', 'mmnothing'),
    ],
)
def test_configs_that_cannot_be_read(tmp_path, text, said):
    (tmp_path / 'own.py').write_text(text)
    with pytest.raises(InvalidInput, match=said):
        read_config(str(tmp_path / 'own.py'))


def test_other_formats_and_names(tmp_path):
    (tmp_path / 'c.json').write_text('{"a": 1}')
    assert read_config(str(tmp_path / 'c.json')).a == 1
    (tmp_path / 'c.yaml').write_text('a: [1')
    with pytest.raises(InvalidInput, match=r'c\.yaml'):
        read_config(str(tmp_path / 'c.yaml'))
    (tmp_path / 'c.txt').write_text('a = 1')
    with pytest.raises(InvalidInput, match=r'must end in \.py'):
        read_config(str(tmp_path / 'c.txt'))
    with pytest.raises(InvalidInput, match="package 'mmnothing' is not installed"):
        read_config('mmnothing::a.py')


def test_outputs_that_cannot_be_written(tmp_path):
    (tmp_path / 'file').write_text('mine')
    for path in (tmp_path / 'file', tmp_path / 'file/below', '/proc/nothing', tmp_path / ('x' * 300)):
        with pytest.raises(InvalidInput, match=f'--out {path}: cannot be written|too long'):
            check_writable('--out', path)
    with pytest.raises(InvalidInput, match='is a folder'):
        check_writable('--out', tmp_path, folder=False)
    with pytest.raises(InvalidInput, match='exists already'):
        check_new_file('--out', tmp_path / 'file', force=False)
    check_new_file('--out', tmp_path / 'file', force=True)
    check_writable('--out', tmp_path / 'new/below')
    assert [path.name for path in tmp_path.iterdir()] == ['file']


def test_folder_of_results(tmp_path):
    def run(*names, **how):
        with ResultFolder('--out', tmp_path / 'out', 'tool.py', **how):
            (tmp_path / 'out').mkdir(exist_ok=True)
            for name in names:
                (tmp_path / 'out' / name).write_text(name)

    run('a.png', 'b.png')
    (tmp_path / 'out/mine.png').write_text('mine')
    with pytest.raises(InvalidInput, match=r'holds mine\.png not written by tool\.py'):
        run('c.png')
    run('b.png', 'c.png', names=('b.png',))
    found = sorted(path.name for path in (tmp_path / 'out').iterdir())
    assert found == ['b.png', 'c.png', 'mine.png'], 'the old figure is gone, the file of the user stays'
    index = json.loads((tmp_path / '.out.mmsterf_files.json').read_text())
    assert index['tool'] == 'tool.py' and sorted(index['files']) == ['b.png', 'c.png']
    with pytest.raises(InvalidInput, match='holds'):
        ResultFolder('--out', tmp_path / 'out', 'other.py')

    (tmp_path / 'out/mine.png').unlink()
    (tmp_path / 'out/b.png').write_text('changed by hand')
    with pytest.raises(InvalidInput, match=r'holds b\.png not written by tool\.py'):
        run('c.png')
