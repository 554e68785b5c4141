"""`--target`, `--signed` and `--ratio` of the ST-ERF command line."""

import csv
import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from test_st_erf_tool import configs  # noqa: F401

from mmsterf.analysis.loading import load_model
from mmsterf.erf import Noise, replknet_ratio, st_erf
from mmsterf.erf.answer_plots import picture_of
from mmsterf.erf.answers import answers
from mmsterf.erf.command import main


def run(*argv):
    main([str(a) for a in argv])


def test_answers_of_a_segmentor_in_pictures(configs, tmp_path, capsys):  # noqa: F811
    out, files = tmp_path / 'out', sorted((tmp_path / 'images').glob('*.png'))[:2]
    run(configs['stock'], '--input', *files, '--target', 'pixel:30,2,b', '--html', '--out', out)
    text = capsys.readouterr().out
    assert 'RANDOM WEIGHTS' in text and 'inside' in text
    facts = json.loads((out / 'answers.json').read_text())
    rows = facts['layers']
    assert [(r['input'], r['target'], r['label']) for r in rows] == [(f.stem, 'pixel:30,2,b', 'b') for f in files]
    assert str(tmp_path) not in json.dumps(facts)
    with (out / 'answers.csv').open() as file:
        assert [float(r['score']) for r in csv.DictReader(file)] == [r['score'] for r in rows]
    _, model = load_model(configs['stock'], None)
    image = cv2.imread(str(files[1]))
    sample = (torch.from_numpy(image).float().permute(2, 0, 1) - 127) / 60
    (expected,) = answers(model, sample, ['pixel:30,2,1'])
    np.testing.assert_allclose(np.load(out / 'answers.npz')['1-pixel-30,2,b'], expected.map, rtol=1e-5)
    assert expected.map[0, 30, 2] > 0 and not expected.map[0, 5, 40]
    np.testing.assert_allclose(picture_of(expected.sample, model.data_preprocessor)[..., ::-1], image / 255, atol=1e-6)
    page = (out / 'report.html').read_text()
    assert page.count('"picture":"data:image/png') == 2 and '"pixel":[30,2]' in page
    for row in rows:
        stem = f'{row["input"]}-{row["target"]}'.replace(':', '-')
        assert cv2.imread(str(out / 'answers' / f'{stem}.png')).std() > 5
        assert (out / 'answers' / f'{stem}.pdf').stat().st_size > 1000


def test_answers_over_time_and_what_is_missing(configs, tmp_path, capsys):  # noqa: F811
    out = tmp_path / 'out'
    run(
        configs['lif'], '--num', 1, '--size', 32, 48, '--calibrate', 1, '--out', out,
        '--target', 'pixel:16,20', 'class:a', 'class:b', 'class:c',
    )  # fmt: skip
    shown = capsys.readouterr()
    rows = json.loads((out / 'answers.json').read_text())['layers']
    assert np.load(out / 'answers.npz')['input-0-pixel-16,20'].shape == (2, 32, 48)
    assert sum(rows[0]['by_step']) == pytest.approx(1) and min(rows[0]['by_step']) > 0
    assert '; ' + ' '.join(f'{v:.3f}' for v in rows[0]['by_step']) in shown.out
    predicted = {r['target'] for r in rows[1:]}
    for target in {'class:a', 'class:b', 'class:c'} - predicted:
        assert f"target '{target}': no pixel is predicted as" in shown.err
    assert all(0 < r['inside'] <= 1 for r in rows[1:])


def test_targets_that_are_none(configs, tmp_path, capsys):  # noqa: F811
    common = ('--num', 1, '--size', 32, 32, '--out', tmp_path / 'out')
    with pytest.raises(SystemExit) as stop:
        run(configs['stock'], *common, '--target', 'box:BEST')
    assert 'EncoderDecoder is a segmentor' in str(stop.value)
    with pytest.raises(SystemExit) as stop:
        run(configs['stock'], *common, '--target', 'class:d')
    assert "no class 'd', it has a, b, c" in str(stop.value)
    with pytest.raises(SystemExit) as stop:
        run(configs['stock'], *common, '--target', 'best')
    assert stop.value.code == 2 and 'box:BEST, box:INDEX, class:NAME' in capsys.readouterr().err
    assert not (tmp_path / 'out').exists()


def test_ratio_stands_beside_ours_and_signed_maps_are_written(configs, tmp_path, capsys):  # noqa: F811
    common = (configs['stock'], '--layers', 'backbone.layer1', '--size', 32, 32, '--num', 2, '--seed', 1)
    run(*common, '--ratio', '--out', tmp_path / 'both')
    text = capsys.readouterr().out
    assert 'ours' in text and 'RepLKNet' in text
    run(*common, '--signed', '--ratio', '--out', tmp_path / 'signed')
    both, signed = (json.loads((tmp_path / n / 'metrics.json').read_text())['layers'][0] for n in ('both', 'signed'))
    assert (both['signed'], signed['signed']) == (False, True)
    _, model = load_model(configs['stock'], None, 1)
    expected = st_erf(model.backbone, Noise(2, (3, 32, 32), 1), 'layer1', signed=True)['layer1']
    for row in (both, signed):
        assert (row['replknet_side_50'], row['replknet_area_50']) == pytest.approx(replknet_ratio(expected, 0.5))
    maps = [np.load(tmp_path / n / 'maps.npz')['mean/backbone.layer1'] for n in ('both', 'signed')]
    np.testing.assert_allclose(maps[1], expected.mean, rtol=1e-5, atol=1e-9)
    assert not np.allclose(*maps)


def test_two_models_are_compared(configs, tmp_path, capsys):  # noqa: F811
    out = tmp_path / 'out'
    common = (
        '--layers',
        'backbone.layer1',
        '--size',
        32,
        32,
        '--num',
        6,
        '--compare',
        '--resamples',
        50,
        '--html',
        '--out',
        out,
    )
    other = Path(configs['stock']).with_name('other.py')
    other.write_text(Path(configs['stock']).read_text().replace('depth=18', 'depth=34'))
    run(configs['stock'], other, *common, '--seed', 1, '--html')
    text = capsys.readouterr().out
    assert 'other - stock: 95% bootstrap intervals over 6 inputs (50 resamples, paired by input)' in text
    with (out / 'differences.csv').open() as file:
        rows = {r['metric']: r for r in csv.DictReader(file)}
    numbers = {n: json.loads((out / n / 'metrics.json').read_text())['layers'][0] for n in ('stock', 'other')}
    for metric in ('area_50', 'radius', 'nonzero'):
        first, second = numbers['stock'][metric], numbers['other'][metric]
        assert float(rows[metric]['difference']) == pytest.approx(second - first, abs=1e-6)
    page = (out / 'report.html').read_text()
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])
    assert [m['name'] for m in data['models']] == ['stock', 'other'] and all(m['random'] for m in data['models'])
    assert data['models'][1]['layers'][0]['metrics']['radius'] == numbers['other']['radius']
    assert {'comparison', 'stock/overview', 'other/layers/backbone.layer1'} <= {f['name'] for f in data['figures']}
    assert '--resamples 50' in data['command'] and 'paired by input' in data['differences'][0]
    assert float(rows['radius']['low']) < float(rows['radius']['high']) and '*' in text
    for argv in ((configs['stock'], *common), (configs['stock'], other, *common, '--num', 4)):
        with pytest.raises(SystemExit) as stop:
            run(*argv)
        assert stop.value.code == 2 and 'two models and at least 5 inputs' in capsys.readouterr().err
