"""tools/analysis_tools/st_erf_cnn.py from the outside, on networks of a few layers."""

import csv
import importlib.util
import json

import numpy as np
import pytest
from tiny_tasks import ROOT, run_script

TOOL = 'analysis_tools/st_erf_cnn.py'
TINY = ['--num', 6, '--size', 24, 24, '--time-steps', 3, '--kernels', 3]


@pytest.fixture(scope='module')
def tool():
    spec = importlib.util.spec_from_file_location('st_erf_cnn', ROOT / 'tools' / TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_study_of_depth_and_tau(tmp_path):
    lists = ['--depths', 3, 6, '--taus', 2.0, 1.0, '--neurons', 'LIF', '--surrogates', 'ATan']
    done = run_script(TOOL, *TINY, *lists, '--out', 'out', cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    out = tmp_path / 'out'
    base, deep, short = 'depth 3 3x3 LIF tau 2 ATan', 'depth 6 3x3 LIF tau 2 ATan', 'depth 3 3x3 LIF tau 1 ATan'
    figures = {f'{study}{end}' for study in ('depth', 'tau') for end in ('', '_profiles', '_temporal')}
    pictures = {f'{figure}{end}' for figure in figures for end in ('.png', '.pdf')}
    assert {path.name for path in out.glob('[!.]*')} == {'maps.npz', 'metrics.json', 'metrics.csv', *pictures}

    about = json.loads((out / 'metrics.json').read_text())
    assert about['weights'] == 'random' and [row['layer'] for row in about['layers']] == [base, deep, short]
    rows = list(csv.DictReader((out / 'metrics.csv').open()))
    assert [(row['depth'], row['tau'], row['empty']) for row in rows] == [
        ('3', '2.0', '0'),
        ('6', '2.0', '0'),
        ('3', '1.0', '0'),
    ]
    sigma = [float(row['sigma_h']) + float(row['sigma_v']) for row in rows]
    assert 1.1 < sigma[1] / sigma[0] < 2.2  # the square root of the depth

    maps = np.load(out / 'maps.npz')
    mean = {name: maps[f'mean/{name}'] for name in (base, deep, short)}
    for name, reach in ((base, 3), (deep, 6)):
        rows_seen, columns_seen = np.nonzero(mean[name].any(0))
        assert (np.ptp(rows_seen), np.ptp(columns_seen)) == (2 * reach, 2 * reach)
        assert mean[name].sum() == pytest.approx(1) and mean[name].sum((1, 2)).all()
    assert mean[short][0].any() and not mean[short][1:].any()  # tau 1: no memory


def test_neurons_and_surrogates(tool, tmp_path, monkeypatch):
    lists = ['--depths', 2, '--taus', 2.0, '--neurons', 'LIF', 'IF', 'PLIF', 'ILIF', 'Izhikevich']
    surrogates = ['--surrogates', 'Sigmoid', 'ATan', 'Rect', 'PiecewiseQuadratic']
    monkeypatch.setattr(tool, 'draw', lambda *_: None)  # takes longer than all the rest
    tool.main([str(arg) for arg in (*TINY, *lists, *surrogates, '--out', tmp_path / 'out')])
    rows = json.loads((tmp_path / 'out/metrics.json').read_text())['layers']
    assert len(rows) == 8 and [row['neuron'] for row in rows[1:5]] == ['IF', 'PLIF', 'ILIF', 'Izhikevich']
    maps = np.load(tmp_path / 'out/maps.npz')
    found = {name.removeprefix('mean/depth 2 3x3 '): maps[name] for name in maps if name.startswith('mean/')}
    assert list(found) == [
        'LIF tau 2 Sigmoid', 'IF Sigmoid', 'PLIF tau 2 Sigmoid', 'ILIF tau 2', 'Izhikevich tau 2 Sigmoid',
        'LIF tau 2 ATan', 'LIF tau 2 Rect', 'LIF tau 2 PiecewiseQuadratic',
    ]  # fmt: skip
    assert all(a.any() for a in found.values())
    different = [a / a.sum() for a in found.values()]
    assert not any(np.allclose(a, b, atol=1e-4) for a, b in zip(different[3:], different[4:]))
    # It starts from the time constant that a LIF neuron has.
    assert np.allclose(found['PLIF tau 2 Sigmoid'], found['LIF tau 2 Sigmoid'], atol=1e-6)


@pytest.mark.parametrize('neuron', ['PLIF', 'ILIF', 'Izhikevich'])
def test_every_neuron_takes_a_tau_of_one(tool, tmp_path, monkeypatch, neuron):
    monkeypatch.setattr(tool, 'draw', lambda *_: None)
    lists = ['--depths', 2, '--taus', 1.0, 1.1, '--neurons', neuron, '--surrogates', 'Sigmoid', '--out', tmp_path]
    tool.main([str(arg) for arg in (*TINY, *lists)])
    maps = np.load(tmp_path / 'maps.npz')
    short, longer = (maps[name] for name in maps if name.startswith('mean/'))
    assert short[0].any() and longer[1:].any()
    if neuron != 'Izhikevich':  # its recovery variable remembers, too
        assert not short[1:].any()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--kernels', 3, 4], 'argument --kernels: must be odd, got 4'),
        (['--num', 0], 'argument --num: must be at least 1, got 0'),
        (['--taus', 0.5], 'argument --taus: must be at least 1, got 0.5'),
        (['--neurons', 'GIF'], "invalid choice: 'GIF' (choose from 'LIF', 'IF'"),
        (
            ['--neurons', 'IF', '--taus', 1, 2],
            'error: IF has no tau to vary: give --taus one value, or let --neurons start with another',
        ),
    ],
)
def test_errors_are_one_line(tool, arguments, message, capsys):
    with pytest.raises(SystemExit) as error:
        tool.main([str(arg) for arg in arguments])
    assert message in f'{error.value}{capsys.readouterr().err}'
