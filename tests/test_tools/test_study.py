"""tools/study: a study of two iterations, killed and resumed; its tables against numbers made by hand."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('pandas')
ROOT = Path(__file__).parents[2]
STUDY = """
data = dict(far='--task far --size 64 64 --scale 16 16 --distance 30 --train 8 --val 4')
tasks = dict(far=dict(config='far.py', data='far', iters=2))
seeds = [0]
_options = {'model.backbone.arch.embed_dims': (8, 16, 16, 16), 'model.neck.in_channels': [4, 8],
            'train_dataloader.batch_size': 2, 'param_scheduler.0.end': 1, 'param_scheduler.1.begin': 1}
factors = dict(
    scale=dict(tasks=['far'], values=dict(published=dict(_options))),
    again=dict(tasks=['far'], values=dict(same=dict(_options))),
)
"""


def run(tool, *arguments, cwd):
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, str(ROOT / 'tools/study' / tool), *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)


@pytest.fixture
def study(tmp_path):
    folder = tmp_path / 'configs'
    for name in ('seg', 'far'):  # a study's configs lie beside it
        text = (ROOT / f'configs/study/{name}.py').read_text().replace("'../", f"'{ROOT}/configs/")
        folder.mkdir(exist_ok=True)
        (folder / f'{name}.py').write_text(text)
    (folder / 'tiny.py').write_text(STUDY)
    return folder / 'tiny.py'


def report_module():
    spec = importlib.util.spec_from_file_location('study_report', ROOT / 'tools/study/report.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_run_resume_and_report(study, tmp_path):
    done = run('run.py', study, '--out', 'out', '--data', 'data', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = (json.loads(line) for line in (tmp_path / 'out/results.jsonl').read_text().splitlines())
    assert first['run'] == 'scale-far-published-0' and first['iters'] == 2 and first['seed'] == 0
    assert 0 <= first['metrics']['mIoU'] <= 100
    assert list(first['erf']) == ['1a', '1b']
    assert 0 < first['erf']['1a']['area_50'] <= first['erf']['1a']['area_99'] <= 1
    assert 0 < first['backbone_parameters'] < first['parameters'] and first['ann_macs_per_image'] > 1e5
    assert 0 <= first['saturated_share'] < 1 and [point['iter'] for point in first['training']] == [1, 2]
    assert first['cpu_s'] > 1 and first['processes'] == 1 and first['versions']['torch'] and first['commit']
    assert second['same_as'] == first['run'] and second['factor'] == 'again', 'the same training is not done twice'
    assert second['metrics'] == first['metrics'] and not (tmp_path / 'out/runs' / second['run']).exists()

    refused = run('run.py', study, '--out', 'out', '--data', 'data', cwd=tmp_path)
    assert refused.returncode == 1 and '--out out: holds results of 2 runs; go on with --resume' in refused.stderr
    before = (tmp_path / 'out/results.jsonl').read_text()
    assert run('run.py', study, '--out', 'out', '--data', 'data', '--resume', cwd=tmp_path).returncode == 0
    assert (tmp_path / 'out/results.jsonl').read_text() == before, 'finished runs are kept'

    # A run that was trained but not yet measured when it was killed: nothing is trained again, metrics are the same.
    (tmp_path / 'out/results.jsonl').unlink()
    (tmp_path / 'out/runs/scale-far-published-0/result.json').unlink()
    done = run('run.py', study, '--out', 'out', '--data', 'data', '--only', 'scale', '--resume', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (again,) = (json.loads(line) for line in (tmp_path / 'out/results.jsonl').read_text().splitlines())
    assert again['metrics'] == first['metrics'] and again['erf'] == first['erf'] and again['processes'] == 2

    lines = tmp_path / 'docs/study/results.jsonl'
    for added in (1, 0):
        done = run('report.py', lines, '--merge', 'out/results.jsonl', cwd=tmp_path)
        assert done.returncode == 0 and f'{added} lines added, 1 in all' in done.stdout, done.stderr
    assert '| published | 1 |' in (tmp_path / 'docs/study/tables.md').read_text()
    assert (tmp_path / 'docs/images/study_scale_far.png').stat().st_size > 1000


@pytest.mark.parametrize(
    'old, new, said',
    [
        ('', '', "--only must be a factor of the study, one of scale, again; got 'mixer'"),
        ('iters=2', 'iters=0', 'iters of task far must be a positive integer, got 0'),
        ("data='far'", "data='near'", "data of task far must be one of far, got 'near'"),
        ('far.py', 'gone.py', 'config gone.py of task far is not beside the study file'),
        ("tasks=['far']", "tasks=['det']", "factor scale names task 'det'; there are far"),
        ('seeds = [0]', '', 'seeds is missing or empty'),
    ],
)
def test_bad_studies_are_named(old, new, said, study):
    study.write_text(study.read_text().replace(old, new, 1) if old else study.read_text())
    sys.path.insert(0, str(ROOT / 'tools/study'))
    try:
        from study import Study

        with pytest.raises(ValueError) as caught:
            Study(study).runs('mixer' if not old else '')
    finally:
        sys.path.remove(str(ROOT / 'tools/study'))
    assert said in str(caught.value)


def test_bad_results_are_named(tmp_path):
    (tmp_path / 'results.jsonl').write_text('{"loss": 1}\n{}\n')
    done = run('report.py', 'results.jsonl', cwd=tmp_path)
    assert done.returncode == 1 and 'error: results.jsonl, line 1: not a result line of run.py' in done.stderr
    done = run('report.py', 'none.jsonl', cwd=tmp_path)
    assert done.returncode == 1 and 'holds no result lines' in done.stderr and os.listdir(tmp_path) == ['results.jsonl']


def test_numbers_of_tables():
    report = report_module()
    low, high = report.interval([1.0, 2.0, 3.0])
    assert 1 <= low < 2 < high <= 3
    assert all(bound != bound for bound in report.interval([0.5])), 'one pair has no interval'
    rho, low, high = report.rank_correlation([1, 2, 3, 4, 5, 6], [1, 4, 9, 16, 25, 36])
    assert (rho, low, high) == pytest.approx((1, 1, 1))
    rho, low, high = report.rank_correlation([1, 2, 3, 4, 5, 6], [2, 1, 4, 3, 6, 5])
    assert rho == pytest.approx(1 - 6 * 6 / 210) and low < rho <= high <= 1


def test_differences_are_paired_by_seed():
    """Seeds differ by 0.1 and 0.3, values by 0.05 in each: the difference is 0.05, whatever the seeds."""
    import pandas as pd

    report = report_module()
    rows = [
        {'factor': 'f', 'task': 't', 'value': v, 'seed': s, 'mIoU': base + plus, 'parameters': 10, 'MMACs': 1.0,
         'MACs+ACs (M)': 1.0}
        for v, plus in (('a', 0.0), ('b', 0.05)) for s, base in ((0, 0.1), (1, 0.4))
    ]  # fmt: skip
    lines = report.factor_table(pd.DataFrame(rows), 'mIoU').splitlines()
    assert lines[0].startswith('| value | runs | mIoU | mIoU - a |')
    assert lines[2].startswith('| a | 2 | 0.250 ± 0.212 |  |')
    assert lines[3].startswith('| b | 2 | 0.300 ± 0.212 | +0.050')
