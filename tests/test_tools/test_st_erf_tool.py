"""tools/analysis_tools/st_erf.py from the outside."""

import csv
import importlib.util
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from mmsterf.erf.arguments import parse

ROOT = Path(__file__).parents[2]

BACKBONE = """
default_scope = 'mmseg'
data_preprocessor = dict(type='SegDataPreProcessor', mean=[127.0] * 3, std=[60.0] * 3, size=(32, 48))
model = dict(
    type='EncoderDecoder',
    data_preprocessor=data_preprocessor,
    backbone=dict({backbone}),
    decode_head=dict(
        type='FCNHead', in_channels={channels}, in_index=-1, channels=4, num_convs=1, num_classes=3, concat_input=False
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
test_dataloader = dict(
    dataset=dict(
        type='BaseSegDataset',
        data_root={root!r},
        data_prefix=dict(img_path='images'),
        img_suffix='.png',
        metainfo=dict(classes=('a', 'b', 'c')),
        test_mode=True,
        pipeline=[dict(type='LoadImageFromFile'), dict(type='PackSegInputs')],
    )
)
"""
SPIKING = (
    "type='mmsterf.MetaSDT', arch=dict(embed_dims=(8, 8, 16, 16)), mixer=dict(type='SRB'), mlp_ratio=1, "
    'out_indices=(0, 4)'
)
LIF = "type='mmsterf.MetaSDTv2', arch=dict(embed_dims=(8, 8, 16, 16)), time_steps=2, mlp_ratio=1, out_indices=(0, 4)"
STOCK = (
    "type='ResNetV1c', depth=18, base_channels=4, num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1)"
)


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('st_erf', ROOT / 'tools' / 'analysis_tools' / 'st_erf.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def configs(tmp_path):
    (tmp_path / 'images').mkdir()
    for i in range(3):
        image = np.random.default_rng(i).integers(0, 255, (32, 48, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / 'images' / f'{i}.png'), image)

    def write(name, backbone, channels):
        path = tmp_path / f'{name}.py'
        path.write_text(BACKBONE.format(backbone=backbone, channels=channels, root=str(tmp_path)))
        return str(path)

    return {'spiking': write('spiking', SPIKING, 16), 'lif': write('lif', LIF, 16), 'stock': write('stock', STOCK, 8)}


def run(tool, *argv):
    tool.main([str(a) for a in argv])


def test_one_config_writes_maps_numbers_and_figures(tool, configs, tmp_path, capsys):
    out = tmp_path / 'out'
    run(tool, configs['spiking'], '--size', 32, 48, '--num', 2, '--calibrate', 2, '--out', out)
    text = capsys.readouterr().out
    assert 'RANDOM WEIGHTS' in text
    assert 'backbone:1' in text
    maps = np.load(out / 'maps.npz')
    assert maps['mean/backbone:0'].shape == maps['sem/backbone:1'].shape == (1, 32, 48)
    facts = json.loads((out / 'metrics.json').read_text())
    assert 'RANDOM WEIGHTS' in facts['weights'] and 'calibrated on 2' in facts['weights']
    assert str(tmp_path) not in json.dumps(facts)
    assert [r['layer'] for r in facts['layers']] == [f'backbone:{i}' for i in range(2)]
    assert all(r['nonzero'] > 0 for r in facts['layers'])
    with (out / 'metrics.csv').open() as file:
        assert [float(r['area_99']) for r in csv.DictReader(file)] == [r['area_99'] for r in facts['layers']]
    for stem in ('overview', 'profiles', 'layers/backbone-0', 'layers/backbone-1'):
        image = cv2.imread(str(out / f'{stem}.png'))
        assert image.shape[0] > 200 and image.std() > 5
        assert (out / f'{stem}.pdf').stat().st_size > 1000
    assert not (out / 'temporal.png').exists()


def test_checkpoint_and_seed_decide_the_maps(tool, configs, tmp_path, capsys):
    from mmsterf.analysis.loading import load_model

    _, model = load_model(configs['stock'], None, seed=5)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'a.pth')
    common = ('--size', 32, 32, '--num', 1, '--layers', 'backbone.layer1')
    run(tool, configs['stock'], *common, '--out', tmp_path / 'seed5', '--seed', 5, '--input', 'dataset')
    run(tool, configs['stock'], *common, '--out', tmp_path / 'seed6', '--seed', 6, '--input', 'dataset')
    capsys.readouterr()
    run(tool, configs['stock'], tmp_path / 'a.pth', *common, '--out', tmp_path / 'again', '--input', 'dataset')
    text = capsys.readouterr().out
    assert 'RANDOM' not in text and 'weights of' in text
    read = {n: np.load(tmp_path / n / 'maps.npz')['mean/backbone.layer1'] for n in ('seed5', 'seed6', 'again')}
    np.testing.assert_array_equal(read['seed5'], read['again'])
    assert not np.allclose(read['seed5'], read['seed6'])


def test_what_takes_more_memory_than_allowed_is_refused(tool, configs, tmp_path):
    out = tmp_path / 'out'
    with pytest.raises(SystemExit) as exit_:
        run(tool, configs['stock'], '--size', 256, 256, '--num', 2, '--memory', 0.004, '--out', out)
    text = exit_.value.code
    assert not out.exists()
    assert 'error: one input of 256 x 256 takes more than the memory asked for, 0.004 GiB: ' in text
    size = text.split('GiB: ')[1].split(' fits')[0].split(' x ')
    run(tool, configs['stock'], '--size', *size, '--num', 2, '--memory', 0.004, '--out', out)
    assert (out / 'maps.npz').exists()


def test_time_and_comparison(tool, configs, tmp_path, capsys):
    out = tmp_path / 'out'
    arguments = ('--size', 32, 48, '--num', 1, '--calibrate', 1, '--out', out)
    run(tool, configs['lif'], configs['stock'], *arguments)
    assert 'half-life' in capsys.readouterr().out
    for stem in ('comparison', 'comparison_linear', 'lif/delays', 'lif/temporal', 'stock/overview'):
        assert (out / f'{stem}.png').exists() and (out / f'{stem}.pdf').exists()
    with (out / 'metrics.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [r['model'] for r in rows] == ['lif'] * 2 + ['stock'] * 2
    assert rows[0]['half_life'] != 'nan' and rows[-1]['half_life'] == 'nan'
    maps = np.load(out / 'lif' / 'maps.npz')
    assert all(maps[k].shape == (2, 32, 48) for k in maps)


def test_a_config_may_name_its_layers(tool, configs, tmp_path):
    with open(configs['stock'], 'a') as file:
        file.write("st_erf_layers = ('backbone.stem', 'backbone.layer2')\n")
    common = (configs['stock'], '--size', 32, 32, '--num', 1)
    run(tool, *common, '--out', tmp_path / 'named')
    run(tool, *common, '--layers', 'backbone.layer1', '--out', tmp_path / 'asked')
    found = {n: set(np.load(tmp_path / n / 'maps.npz')) for n in ('named', 'asked')}
    assert found['named'] == {f'{k}/backbone.{n}' for k in ('mean', 'sem') for n in ('stem', 'layer2')}
    assert found['asked'] == {f'{k}/backbone.layer1' for k in ('mean', 'sem')}


def test_backbones_whose_train_returns_nothing(tmp_path):
    from mmsterf.analysis.loading import load_model

    config = tmp_path / 'swin.py'
    config.write_text("model = dict(type='mmdet.SwinTransformer', embed_dims=12, depths=(1, 1), num_heads=(1, 1), "
                      "strides=(4, 2), out_indices=(0, 1))\n")  # fmt: skip
    assert load_model(str(config), None)[1].training is False


def test_files_position_and_heads(tool, configs, tmp_path):
    arguments = ('--layers', 'decode_head', 'backbone:0', '--heads', '--position', 0, 47, '--out', tmp_path / 'out')
    files = sorted((tmp_path / 'images').glob('*.png'))
    run(tool, configs['stock'], '--input', *files, *arguments)
    facts = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
    assert facts['input'] == ['0.png', '1.png', '2.png']
    assert facts['layers'][1]['num'] == 3
    assert (facts['layers'][1]['centre_row'], facts['layers'][1]['centre_column']) == (0, 47)
    assert facts['layers'][1]['centroid_column'] > 24


def test_pictures_through_the_demos_detector(tool, tmp_path, capsys):
    rng = np.random.default_rng(0)
    (tmp_path / 'in').mkdir()
    cv2.imwrite(str(tmp_path / 'in' / 'grey.png'), rng.integers(0, 256, (40, 60), dtype=np.uint8))
    cv2.imwrite(str(tmp_path / 'in' / 'deep.png'), rng.integers(0, 65536, (40, 60, 3), dtype=np.uint16))
    config = ROOT / 'configs' / 'mask_rcnn_sdt_mlpixer_digits.py'
    common = (config, '--input', tmp_path / 'in', '--layers', 'backbone.stem', '--out', tmp_path / 'out')
    run(tool, *common, '--size', 32, 64, '--calibrate', 1)
    facts = json.loads((tmp_path / 'out' / 'metrics.json').read_text())
    assert facts['input'] == ['in'] and facts['layers'][0]['num'] == 2
    assert facts['layers'][0]['nonzero'] > 0
    said = capsys.readouterr().err
    assert 'converted to 8-bit BGR: grey.png (grey)' in said and 'deep.png (16-bit colour)' in said


def test_list_layers(tool, configs, capsys):
    run(tool, configs['stock'], '--list-layers', '--size', 32, 48)
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split() == ['backbone.layer1', '(1,', '4,', '8,', '12)', 'NCHW', '8', 'x', '12'] for line in lines)


def test_fresh_residual_branches_are_told_and_can_be_opened(tool, configs, tmp_path, capsys):
    common = (configs['stock'], '--size', 32, 48, '--num', 1)
    run(tool, *common, '--out', tmp_path / 'closed')
    said = capsys.readouterr().err
    assert said.count('4 gains are zero') == 1 and '(backbone.layer1.0.bn2.weight, backbone.layer1.1.bn2.weight' in said
    run(tool, *common, '--out', tmp_path / 'open', '--unit-gains', '--calibrate', 1)
    printed = capsys.readouterr()
    assert 'taken as 1: backbone.layer1.0.bn2.weight' in printed.out and 'are zero,' not in printed.err
    closed, opened = (json.loads((tmp_path / n / 'metrics.json').read_text()) for n in ('closed', 'open'))
    assert '4 gains of zero taken as 1, batch norms' in opened['weights']
    assert [r['nonzero'] for r in closed['layers']][0] == pytest.approx(closed['layers'][1]['nonzero'])
    assert opened['layers'][1]['nonzero'] > opened['layers'][0]['nonzero'] > closed['layers'][0]['nonzero']


def test_silent_neurons_are_explained(tool, configs, tmp_path, capsys):
    from mmsterf.analysis.loading import load_model

    _, model = load_model(configs['spiking'], None)
    for name, p in model.named_parameters():
        if name.endswith('stem.norm.bias'):
            torch.nn.init.constant_(p, -100)
    torch.save(model.state_dict(), tmp_path / 'silent.pth')
    arguments = ('--size', 32, 32, '--num', 1, '--layers', 'backbone.stage1a.0.mixer', '--out', tmp_path / 'out')
    run(tool, configs['spiking'], tmp_path / 'silent.pth', *arguments)
    error = capsys.readouterr().err
    assert 'backbone.stage1a.0.mixer is empty' in error
    assert '0.00%' in error and '--calibrate' in error


@pytest.mark.parametrize(
    ('arguments', 'why'),
    [
        (('missing.py',), 'missing.py is not a file'),
        (('{spiking}', '--layers', 'backbone.stage7'), 'Layers that would do'),
        (
            ('{spiking}', '--input', 'nothing.jpg'),
            '--input nothing.jpg: is not there; images, folders, globs and videos',
        ),
        (('{spiking}', 'nothing.pth'), 'nothing.pth is not a file'),
        (('{spiking}', '--position', '99', '2', '--size', '32', '32'), 'inside 32 x 32'),
        (('{spiking}', '--input-time', 'film'), 'image, sequence, folded'),
    ],
)
def test_errors_are_one_line(tool, configs, arguments, why, tmp_path):
    argv = [a.format(**configs) for a in arguments]
    with pytest.raises(SystemExit) as stop:
        run(tool, *argv, '--num', 1, '--out', tmp_path / 'out')
    assert why in str(stop.value)
    assert not (tmp_path / 'out').exists()


def test_checkpoint_of_another_model_is_refused(tool, configs, tmp_path):
    torch.save({'backbone.conv.weight': torch.zeros(1)}, tmp_path / 'other.pth')
    with pytest.raises(SystemExit, match=r'does not fit the EncoderDecoder .* missing'):
        run(tool, configs['stock'], tmp_path / 'other.pth', '--out', tmp_path / 'out')


def test_bad_command_lines(tool, capsys):
    for argv in (['a.pth'], ['a.py', 'a.pth', 'b.pth'], ['a.py', '--num', '0'], ['a.py', '--step', 'first']):
        with pytest.raises(SystemExit):
            parse(argv)
    assert 'at least 1, got 0' in capsys.readouterr().err
    assert sys.path[1] == str(ROOT)


SWIN = (
    "type='SwinTransformer', embed_dims=8, depths=(1, 1), num_heads=(1, 2), strides=(4, 2), out_indices=(0, 1), "
    'window_size=4'
)


def test_default_layers_stand_in_front_of_norms(tool, configs, tmp_path, capsys):
    config = Path(configs['stock'].replace('stock', 'swin'))
    config.write_text(BACKBONE.format(backbone=SWIN, channels=16, root=str(tmp_path)))
    run(tool, config, '--size', 32, 48, '--num', 1, '--out', tmp_path / 'out')
    captured = capsys.readouterr()
    assert 'backbone:0 ends in a layer norm: backbone.stages.0' in captured.err
    rows = json.loads((tmp_path / 'out' / 'metrics.json').read_text())['layers']
    assert [r['cancels'] for r in rows] == [False, False]
    run(tool, config, '--size', 32, 48, '--num', 1, '--layers', 'backbone:*', '--out', tmp_path / 'asked')
    captured = capsys.readouterr()
    assert captured.err.count('cancels over its channels') == 2
    assert captured.out.count('cancels: its map is rounding error') == 2
    rows = json.loads((tmp_path / 'asked' / 'metrics.json').read_text())['layers']
    assert all(r['area_99'] is None and r['nonzero'] is None and r['cancels'] for r in rows)


def test_axes_on_the_command_line():
    parsed = parse(['a.py', '--axes', 'NHWC', 'backbone.*=NLC:5', 'neck=NLC:x'])
    assert parsed.axes == {'*': 'NHWC', 'backbone.*': ('NLC', 5), 'neck': 'NLC:x'}


def test_bad_axes_are_refused(tool, configs, tmp_path):
    with pytest.raises(SystemExit, match=r"axes must be one of auto, NCHW, .* got 'CHWN'"):
        run(tool, configs['stock'], '--axes', 'CHWN', '--num', 1, '--size', 32, 32, '--out', tmp_path / 'out')
