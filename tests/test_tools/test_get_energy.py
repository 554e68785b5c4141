"""tools/analysis_tools/get_energy.py: numbers of a table by hand, files, sources, errors."""

import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure
from tiny_tasks import write_task

from mmsterf.analysis.loading import load_model

TOOL = Path(__file__).parents[2] / 'tools/analysis_tools/get_energy.py'
spec = importlib.util.spec_from_file_location('get_energy', TOOL)
get_energy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(get_energy)

BACKBONE = "model = dict(type='mmsterf.MetaSDT', arch=dict(embed_dims=(8, 8, 16, 16)), mlp_ratio=1)\n"


def run(folder, *args) -> dict:
    get_energy.main([*map(str, args), '--out', str(folder / 'out')])
    return json.loads((folder / 'out/energy.json').read_text())


@pytest.fixture(autouse=True)
def _small_picture(request, monkeypatch):
    """Drawing takes most of the time: once is enough."""
    if request.function is not test_backbone_alone:
        monkeypatch.setattr('mmsterf.analysis.energy_report.energy_figure', lambda *_: Figure(figsize=(1, 1)))


@pytest.fixture
def backbone(tmp_path) -> Path:
    path = tmp_path / 'backbone.py'
    path.write_text(BACKBONE)
    return path


def test_backbone_alone(backbone, tmp_path, capsys):
    found = run(tmp_path, backbone, '--size', 32, 48, '--num', 2, '--calibrate', 2, '--mac', 5, '--ac', 0.5)
    printed = capsys.readouterr().out
    layers, total = {row['layer']: row for row in found['layers']}, found['total']
    stem = layers['stem.conv']  # 7 x 7, stride 2, padding 3: outputs at 0, 2, ...; taps inside by row and by column
    rows, columns = (sum(min(i + 4, n) - max(i - 3, 0) for i in range(0, n, 2)) for n in (32, 48))
    assert stem['inputs'] == 'analog' and stem['acs'] == 0 and stem['firing_rate'] is None
    assert stem['macs'] == stem['ann_macs'] == rows * columns * 3 * 4
    assert stem['energy_uJ'] == pytest.approx(stem['macs'] * 5e-6)
    first = layers['stage1a.0.sepconv.pw1.conv']
    assert first['ann_macs'] == 16 * 24 * 4 * 8
    assert first['acs'] == pytest.approx(first['firing_rate'] * 4 * 16 * 24 * 4 * 8) and first['acs'] > 0
    assert first['energy_uJ'] == pytest.approx(first['acs'] * 0.5e-6)
    for key in ('ann_macs', 'macs', 'acs', 'energy_uJ', 'ann_energy_uJ'):
        assert total[key] == pytest.approx(sum(row[key] for row in layers.values()))
    model = load_model(str(backbone), None)[1]
    assert total['params'] == found['params'] == sum(p.numel() for p in model.parameters())
    assert found['pJ'] == {'mac': 5, 'ac': 0.5}
    assert 'RANDOM WEIGHTS' in printed and 'weights are random' in printed
    assert 'read analog maps: stem.conv\n' in printed
    picture = cv2.imread(str(tmp_path / 'out/energy.png'))
    assert picture is not None and picture.std() > 10
    assert sorted(p.name for p in (tmp_path / 'out').glob('[!.]*')) == ['energy.json', 'energy.png']


def test_dead_and_saturated_layers_are_pointed_out(backbone, tmp_path, capsys):
    model = load_model(str(backbone), None)[1]
    torch.nn.init.constant_(model.stem.norm.bias, 50)
    torch.nn.init.constant_(model.stage1a[0].sepconv.pw1.norm.bias, -50)
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'weights.pth')
    found = run(tmp_path, backbone, tmp_path / 'weights.pth', '--size', 32, 32)
    printed = capsys.readouterr().out
    layers = {row['layer']: row for row in found['layers']}
    assert layers['stage1a.0.sepconv.pw1.conv']['state'] == 'saturated'
    assert layers['stage1a.0.sepconv.dw.conv']['state'] == 'dead'
    states = {row['neuron']: row['state'] for row in found['neurons']}
    assert states['stage1a.0.sepconv.dw.conv.neuron'] == 'dead'
    assert 'saturated (nearly every slot fires): stage1a.0.sepconv.pw1.conv.neuron' in printed
    assert 'dead (never fires): stage1a.0.sepconv.dw.conv.neuron' in printed
    assert 'weights.pth' in printed and 'random' not in printed.lower()


def test_whole_detector_on_files_noise_and_data_set(tmp_path):
    config = write_task(tmp_path, 'detection')
    config.write_text(config.read_text().replace('nms_pre=50, max_per_img=20', 'nms_pre=8, max_per_img=4'))
    image = tmp_path / 'data/images/0.jpg'
    by_file = run(tmp_path, config, '--input', image)
    by_data = run(tmp_path, config, '--input', 'dataset', '--num', 1)
    noise = run(tmp_path, config, '--size', 24, 32)
    names = {row['layer'] for row in by_file['layers']}
    assert {'backbone.stem.conv', 'rpn_head.rpn_cls', 'roi_head.bbox_head.fc_cls'} < names
    for key in ('macs', 'acs'):  # the first image of the data set is that file
        assert by_file['total'][key] == by_data['total'][key] > 0
    stems = [found['layers'][0]['macs'] for found in (by_file, noise)]
    assert stems[0] > 2 * stems[1]
    assert by_file['input'] == ['0.jpg'] and noise['input'] == ['noise']


def test_segmentor(tmp_path, capsys):
    config = write_task(tmp_path, 'segmentation')
    (tmp_path / 'in').mkdir()
    cv2.imwrite(str(tmp_path / 'in/other.png'), np.full((32, 48), 51200, np.uint16))
    found = run(tmp_path, config, '--input', tmp_path / 'in')
    assert 'decode_head.conv_seg' in {row['layer'] for row in found['layers']}
    assert 'converted to 8-bit BGR: other.png (16-bit grey)' in capsys.readouterr().err
    cv2.imwrite(str(tmp_path / 'same.png'), np.full((32, 48, 3), 200, np.uint8))
    assert run(tmp_path, config, '--input', tmp_path / 'same.png')['total'] == found['total']


def test_time_steps_and_folding(tmp_path):
    config = tmp_path / 'v2.py'
    config.write_text(BACKBONE.replace('MetaSDT', 'MetaSDTv2'))
    plain = run(tmp_path, config, '--size', 32, 32)
    folded = run(tmp_path, config, '--size', 32, 32, '--fold')
    stem = plain['layers'][0]
    assert stem['macs'] == 4 * stem['ann_macs'] == folded['layers'][0]['macs']
    assert any('dw' in row['layer'] and 'attn' in row['layer'] for row in plain['layers'])
    assert not any('dw' in row['layer'] and 'attn' in row['layer'] for row in folded['layers'])


@pytest.mark.parametrize('args, text', [
    (('--input', 'dataset'), 'no test_dataloader'),
    (('nowhere.pth',), 'nowhere.pth'),
])  # fmt: skip
def test_errors_name_the_input(backbone, tmp_path, args, text):
    with pytest.raises(SystemExit, match=text):
        run(tmp_path, backbone, *args)
    assert not (tmp_path / 'out').exists()


def test_missing_image(tmp_path):
    config = write_task(tmp_path, 'detection')
    with pytest.raises(SystemExit, match=r'--input nowhere\.jpg: is not there'):
        run(tmp_path, config, '--input', 'nowhere.jpg')


def test_negative_constants(backbone, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(tmp_path, backbone, '--ac', '-1')
    assert 'argument --ac: must be at least 0, got -1.0' in capsys.readouterr().err
