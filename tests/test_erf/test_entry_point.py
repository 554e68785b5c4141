"""`python -m mmsterf.erf`: plain models, without OpenMMLab, and what it writes and leaves alone."""

import json
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from torch import nn

from mmsterf.erf import command, plain, probe
from mmsterf.erf.arguments import parse
from mmsterf.erf.pictures import normalised

ROOT = Path(__file__).parents[2]

WITHOUT_OPENMMLAB = """
import sys
BLOCKED = ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain', 'spikingjelly', 'cv2', 'timm')
class Blocker:
    def find_spec(self, name, *_):
        if name.partition('.')[0] in BLOCKED:
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)
sys.meta_path.insert(0, Blocker())
from mmsterf.erf.command import main
for line in sys.argv[1:]:
    try:
        main(line.split())
    except SystemExit as stop:
        print(f'status {stop.code}')
"""
MODEL = """
import torch
from torch import nn

def make(width=2, channels=3):
    convs = [nn.Conv2d(channels, width, 3, 2, 1), nn.Conv2d(width, width, 3, 2, 1), nn.Conv2d(width, 1, 3, 1, 1)]
    for conv in convs:
        nn.init.ones_(conv.weight)
    return nn.Sequential(*convs, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1, 4))

class Steps(nn.Module):
    time_steps = 2
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 1)
    def forward(self, x):
        return self.conv(x[0]) + 2 * self.conv(x[1])

class Picky(nn.Conv2d):
    def __init__(self):
        super().__init__(3, 1, 3)
    def forward(self, x):
        assert x.shape[-1] == 16, '16 only'
        return super().forward(x)

class Broken(nn.Conv2d):
    def __init__(self):
        super().__init__(3, 1, 3)
    def forward(self, x):
        raise RuntimeError('ever')

fixed = make()
number = 3

def fails(width):
    raise KeyError('never')
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / 'my.py').write_text(MODEL)
    (tmp_path / 'unreadable.py').write_text('import torch\ndef make(:\n')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refused(*argv) -> str:
    with pytest.raises(SystemExit) as stop:
        command.main([str(a) for a in argv])
    return str(stop.value)


def test_torch_alone_suffices(here):
    PIL.Image.fromarray(np.random.default_rng(0).integers(0, 65536, (9, 13), dtype=np.uint16)).save(here / 'deep.png')
    lines = [
        '--model my.py:make(width=3) --input deep.png --size 16 24 --layers 0 1 --out out',
        '--model my.py:make --list-layers --size 16 24',
        '--model my.py:Steps() --size 8 8 --num 2 --layers conv --step sum --out steps',
        '--model timm:resnet18 --out none',
        'some.py --out none',
    ]
    done = subprocess.run(
        [sys.executable, '-c', WITHOUT_OPENMMLAB, *lines], cwd=here, capture_output=True, text=True, check=True
    )
    maps = np.load(here / 'out/maps.npz')
    rows, columns = np.nonzero(maps['mean/0'][0])
    assert (np.ptp(rows), np.ptp(columns)) == (2, 2) and maps['mean/0'].max() == pytest.approx(3)
    rows, columns = np.nonzero(maps['mean/1'][0])
    assert (np.ptp(rows), np.ptp(columns)) == (6, 6)  # 3 + 2 * (3 - 1)
    facts = json.loads((here / 'out/metrics.json').read_text())
    assert facts['weights'] == 'weights as my.py:make makes them (no checkpoint, seed 0)'
    assert (here / 'out/overview.png').stat().st_size > 10_000
    assert 'converted to 8-bit BGR: deep.png (16-bit grey)' in done.stderr and 'normalised by ImageNet' in done.stderr
    assert 'output shapes for one input of 16 x 24' in done.stdout and 'NCHW   8 x 12' in done.stdout
    assert (here / 'steps/maps.npz').exists() and not (here / 'none').exists()
    assert 'timm cannot be imported' in done.stdout and 'the package mmdet is needed here and not' in done.stdout


def test_defaults_of_plain_models(here):
    assert plain.input_shape(plain.build(plain.spec_of('my.py:make(channels=1)'))).sample == (1, 224, 224)
    command.main(['my.py:make', '--size', '16', '16', '--num', '1', '--out', 'out'])
    assert {k for k in np.load('out/maps.npz') if k[0] == 'm'} == {'mean/0', 'mean/2'}
    model = nn.Sequential(*[nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.ReLU()) for _ in range(9)])
    x = torch.zeros(1, 3, 8, 8, requires_grad=True)
    assert plain.stages(probe(model, x, (8, 8))[0]) == ['1', '3', '5', '8']
    stem = nn.Sequential(*[nn.Conv2d(3, 3, 3, padding=1) for _ in range(12)])
    model = nn.Sequential(stem, nn.Conv2d(3, 3, 2, 2), nn.Sequential(*model), nn.Conv2d(3, 3, 1))
    assert plain.stages(probe(model, x, (8, 8))[0]) == ['2.1', '2.3', '2.5', '2.8']
    blocks = nn.Sequential(*[nn.Sequential(nn.Conv2d(3, 3, 3, 2, 1), nn.Identity()) for _ in range(3)])
    model = nn.Sequential(nn.Conv2d(3, 3, 1), blocks, nn.Identity())
    x = torch.zeros(1, 3, 16, 16, requires_grad=True)
    assert plain.stages(probe(model, x, (16, 16))[0]) == ['1.0', '1.1', '1.2']
    wide = [nn.Sequential(*[nn.Conv2d(3, 3, 1) for _ in range(5)]) for _ in range(8)]
    model = nn.Sequential(OrderedDict((f'layer_{i}', block) for i, block in enumerate(wide)))  # as torchvision's ViTs
    assert plain.stages(probe(model, x, (16, 16))[0]) == ['layer_1', 'layer_3', 'layer_5', 'layer_7']


def test_timms_models_say_their_inputs(here):
    pytest.importorskip('timm')
    model = plain.build(plain.spec_of('timm:vit_tiny_patch16_224(depth=1, img_size=32)'))
    mean, std, notes = plain.normalisation(model)
    assert (mean, std, notes) == ([127.5] * 3, [127.5] * 3, [])
    assert plain.input_shape(model).sample == (3, 32, 32) and not plain.spec_of('timm:resnet18').brings_weights()
    assert 'timm has no such model; near: resnet18' in refused('--model', 'timm:resnet19', '--out', 'out')


def test_weights_of_a_checkpoint(here):
    model = plain.build(plain.spec_of('my.py:make'))
    nn.init.zeros_(model[0].weight[:, 1])
    torch.save({'state_dict': model.state_dict()}, 'half.pth')
    command.main(
        ['--model', 'my.py:make', 'half.pth', '--size', '8', '8', '--num', '1', '--layers', '0', '--out', 'out']
    )
    facts = json.loads(Path('out/metrics.json').read_text())
    assert (facts['weights'], facts['checkpoint']) == ('weights of half.pth', 'half.pth')
    assert np.load('out/maps.npz')['mean/0'].max() == pytest.approx(2 * 2 / 3)  # two channels, of three colours two
    said = refused('my.py:make(width=5)', 'half.pth', '--out', 'none')
    assert 'half.pth does not fit the Sequential' in said and 'of another shape' in said


@pytest.mark.parametrize(
    ('spec', 'said'),
    [
        ('my.py:nothing', 'my.py has no nothing; it has make, Steps'),
        ('my.py:number', 'is or returns a int, not an nn.Module'),
        ('my.py:make(depth=2)', "unexpected keyword argument 'depth'"),
        ('other.py:make', 'other.py is not a file'),
        ('unreadable.py:make', '--model unreadable.py:make: invalid syntax (unreadable.py, line 2)'),
        ('my.py:fails(width=3)', "--model my.py:fails: KeyError: 'never' (my.py, line 36)"),
        ('my.py:Picky()', 'Picky cannot take inputs of 8 x 8 (16 only); a size that works is 16 x 16'),
        ('my.py:Broken()', 'the Broken does not run on an input (1, 3, 8, 8): RuntimeError: ever (my.py, line 30)'),
    ],
)
def test_models_that_are_none(here, spec, said):
    assert said in refused('--model', spec, '--size', 8, 8, '--out', 'out')
    assert not (here / 'out').exists()


@pytest.mark.parametrize(
    ('argv', 'said'),
    [
        ([], 'no model: give a config or --model timm:NAME'),
        (['my.py:make(3)'], 'arguments are written as in Python'),
        (['my.py:make(width=os.cpu)'], 'arguments are written as in Python'),
        (['weights.pth'], 'a model must come before its checkpoint'),
        (['my.py:make', '--heads'], '--cfg-options, --heads and --weights config are for configs'),
        (['my.py:make', '--weights', 'config'], 'an argument, as timm:NAME(pretrained=True)'),
        (['a.py', 'a.pth', '--weights', 'config'], '--weights config: every model has a checkpoint'),
    ],
)
def test_bad_command_lines(argv, said, capsys):
    with pytest.raises(SystemExit):
        parse(argv)
    assert said in capsys.readouterr().err


def test_models_by_option_or_place():
    parsed = parse(['a.py', 'a.pth', '--model', 'b.py:f(x=[1, "c"])', 'b.pth', '--model', 'mmdet::c/c.py'])
    spec = plain.Spec('b.py', 'f', {'x': [1, 'c']})
    assert parsed.models == [('a.py', 'a.pth'), (spec, 'b.pth'), ('mmdet::c/c.py', None)]
    assert command.names_of(parsed.models) == ['a', 'f', 'c']


def test_inputs_of_plain_models(here):
    PIL.Image.fromarray(np.full((4, 4, 3), (10, 20, 30), np.uint8)).save('a.png')
    common = ('--size', 4, 4, '--out', 'out', '--input')
    assert 'a plain model has no data set' in refused('my.py:make', *common, 'dataset')
    assert 'takes 2 channels, and pictures have 1 or 3' in refused('my.py:make(channels=2)', *common, 'a.png')
    assert '--mean: takes 1 or 3 numbers, got 2' in refused('my.py:make', *common, 'a.png', '--mean', 1, 2)
    model = plain.build(plain.spec_of('my.py:make'))
    args = parse(['my.py:make', '--input', 'a.png', '--size', '4', '4', '--mean', '10', '0', '0', '--std', '10'])
    (x,) = plain.source_of(model, args, 5, 0, 1, 'image')
    torch.testing.assert_close(x, torch.tensor([0.0, 2.0, 3.0])[:, None, None].expand(3, 4, 4))
    grey = normalised((100.0, 50.0, 0.0), (10.0,), 1)(np.full((2, 2, 3), 60, np.uint8))
    torch.testing.assert_close(grey, torch.ones(1, 2, 2))


def test_nobodys_file_is_overwritten(here, monkeypatch):
    run = ['my.py:make', '--size', '8', '8', '--num', '1', '--layers', '0', '--out', 'out']
    command.main(run)
    first = Path('out/metrics.json').read_bytes()
    command.main([*run, '--seed', '1'])  # its own files it replaces
    assert Path('out/metrics.json').read_bytes() != first
    Path('out/mine.txt').write_text('mine')
    assert 'holds mine.txt not written by st_erf.py; choose another folder' in refused(*run)

    def full(*_):
        raise OSError(28, 'No space left on device', 'profiles.png')

    monkeypatch.setattr('mmsterf.erf.plots.profile_figure', full)
    before = {p: p.read_bytes() for p in here.rglob('*') if p.is_file()}
    assert 'No space left on device' in refused(*run, '--force')
    assert {p: p.read_bytes() for p in here.rglob('*') if p.is_file()} == before
    assert 'No space left' in refused(*run[:-1], 'new') and not (here / 'new').exists()
    assert Path('out/mine.txt').read_text() == 'mine'
