"""tools/study: a study of two iterations, killed and resumed; its tables against numbers made by hand."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip('pandas')
from mmsterf.study import measuring, pretraining, studies, tables
from mmsterf.study.results import locked, read_results
from mmsterf.study.studies import Study

ROOT = Path(__file__).parents[2]
STUDY = """
data = dict(far='--task far --size 64 64 --scale 16 16 --distance 30 --mark-radius 7 --train 8 --val 4')
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


def test_ended_with_its_runs(study, tmp_path):
    """SIGTERM ends what --wrap started too, and leaves no result line."""
    wrap = f"sh -c 'echo $$ > {tmp_path}/pid.part; mv {tmp_path}/pid.part {tmp_path}/pid; sleep 100; true'"
    command = [sys.executable, str(ROOT / 'tools/study/run.py'), str(study), '--out', 'out', '--wrap', wrap]
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    for _ in range(600):
        if (tmp_path / 'pid').exists():
            break
        time.sleep(0.1)
    group = int((tmp_path / 'pid').read_text())
    process.terminate()
    assert process.wait(timeout=30) == 143
    for _ in range(50):  # the kernel takes its time
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            break
        time.sleep(0.1)
    else:
        raise AssertionError('the run goes on')
    assert not (tmp_path / 'out/results.jsonl').exists()


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
    for point in first['training']:
        assert 0 < point['mean'] < 1 and 0 <= point['saturated'] < 1 and set(point['erf']) == {'1a', '1b'}
    assert first['training'][-1]['erf']['1b']['area_99'] >= first['training'][-1]['erf']['1b']['area_50'] > 0
    assert set(first['marks']) <= {'rows', 'columns', 'marks'} and first['marks']['marks'] in (0, 0.25, 0.5, 0.75, 1)
    assert first['values'] == ['published'] and first['task_key']
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
    done = run('run.py', study, '--out', 'out', '--data', 'data', '--only', 'scale-far', '--resume', cwd=tmp_path)
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
        (
            '',
            '',
            'a factor of the study or a factor and its task, one of scale, again, scale-far, again-far',
        ),
        ('iters=2', 'iters=0', 'iters of task far must be a positive integer, got 0'),
        ("data='far'", "data='near'", "data of task far must be one of far, got 'near'"),
        ('far.py', 'gone.py', 'config gone.py of task far is not beside the study file'),
        ("tasks=['far']", "tasks=['det']", "factor scale names task 'det'; there are far"),
        ('seeds = [0]', '', 'seeds is missing or empty'),
    ],
)
def test_bad_studies_are_named(old, new, said, study):
    study.write_text(study.read_text().replace(old, new, 1) if old else study.read_text())
    with pytest.raises(ValueError) as caught:
        Study(study).runs('mixer' if not old else '')
    assert said in str(caught.value)


def test_bad_results_are_named(tmp_path):
    (tmp_path / 'results.jsonl').write_text('{"loss": 1}\n{}\n')
    done = run('report.py', 'results.jsonl', cwd=tmp_path)
    assert done.returncode == 1 and 'error: results.jsonl, line 1: not a result line of run.py' in done.stderr
    done = run('report.py', 'none.jsonl', cwd=tmp_path)
    assert done.returncode == 1 and 'holds no result lines' in done.stderr and os.listdir(tmp_path) == ['results.jsonl']


def test_numbers_of_tables():
    low, high = tables.interval([1.0, 2.0, 3.0])
    assert 1 <= low < 2 < high <= 3
    assert all(bound != bound for bound in tables.interval([0.5])), 'one pair has no interval'


def cluster_frame(pairs):
    import pandas as pd

    return pd.DataFrame([{'value': v, 'x': x, 'y': y} for v, x, y in pairs])


def test_rank_correlation_resamples_values():
    """Seeds of a value are no evidence of their own: ten copies of each run leave the interval as it is."""
    pairs = [('a', 1, 2), ('b', 2, 1), ('c', 3, 4), ('d', 4, 3), ('e', 5, 6), ('f', 6, 5)]
    rho, low, high = tables.rank_correlation(cluster_frame(pairs), 'x', 'y')
    assert rho == pytest.approx(1 - 6 * 6 / 210) and low < rho <= high <= 1
    assert tables.rank_correlation(cluster_frame(pairs * 10), 'x', 'y') == pytest.approx((rho, low, high), abs=0.02)
    # One value in four differs: a third of the resamples lack it, and have no coefficient.
    rho, low, high = tables.rank_correlation(
        cluster_frame([(v, int(v == 'a'), int(v == 'a')) for v in 'abcd']), 'x', 'y'
    )
    assert (rho, low, high) == pytest.approx((1, 1, 1))


def line(run, seed, value, metric, finished, **changed):
    return {
        'run': f'{run}-{value}-{seed}', 'key': finished + value + str(seed), 'factor': 'f', 'task': 't', 'value': value,
        'seed': seed, 'values': ['b', 'a'], 'task_key': 'new', 'data_options': '', 'iters': 5, 'finished': finished,
        'parameters': 1, 'cpu_s': 2.0, 'ann_macs_per_image': 1e6, 'macs_per_image': 0, 'acs_per_image': 1e6,
        'saturated_share': 0.1, 'attention_saturated_share': None, 'metrics': {'mIoU': metric}, 'training': [],
        'erf': {'1b': {'area_50': 0.1, 'area_99': 0.5}}, **changed,
    }  # fmt: skip


def test_tables_mix_no_settings(tmp_path):
    """The newest line of a run counts; lines of other settings are left out, and said; values keep their order."""
    lines = [
        line('r', 0, 'a', 10.0, '2026-01-01', task_key='old'),
        line('r', 1, 'a', 90.0, '2026-01-01', task_key='old'),  # never done again
        line('r', 0, 'a', 20.0, '2026-01-03'),
        line('r', 0, 'b', 30.0, '2026-01-02', training=[{'iter': 2, 'mean': 0.1, 'erf': {'1b': {'area_99': 0.25}}}]),
    ]
    kept, dropped = tables.newest(lines)
    assert sorted(r['metrics']['mIoU'] for r in kept) == [20.0, 30.0] and dropped == {('f', 't'): 1}
    tables.write_report(lines, tmp_path / 'docs' / 'study')
    text = (tmp_path / 'docs/study/tables.md').read_text()
    assert 'area_99 1b during training, at iterations 2: b 0.250.' in text
    assert '| mIoU - b |' in text and 'Lines of older settings left out: 1.' in text
    assert text.index('| b | 1 | 0.300 |') < text.index('| a | 1 | 0.200 | -0.100')


def test_keys_follow_the_content_of_configs(study, monkeypatch):
    """Another setting in a config is another training; another name of it, or place of the scenes, is none."""

    def first(file=study):
        studies._read_config.cache_clear()
        return Study(file).runs('scale')[0]

    run, again = first(), Study(study).runs('again')[0]
    assert run.key == again.key and run.task_key == again.task_key and run.name != again.name
    monkeypatch.setenv('MMSTERF_DIGITS_ROOT', '/elsewhere')
    assert first().key == run.key and os.environ['MMSTERF_DIGITS_ROOT'] == '/elsewhere'
    seg = study.parent / 'seg.py'  # which far.py is based on
    seg.write_text(seg.read_text().replace('lr=3e-3', 'lr=2e-3'))
    changed = first()
    assert changed.key != run.key and changed.task_key != run.task_key
    study.write_text(study.read_text().replace("'train_dataloader.batch_size': 2", "'train_dataloader.batch_size': 4"))
    other = first()
    assert other.key != changed.key and other.task_key == changed.task_key, 'the factor changed, its task did not'


def test_results_of_two_processes_are_all_kept(tmp_path):
    """Each of two processes adds 40 lines, one at a time; with a lock held elsewhere, nobody else gets it."""
    code = (
        'import sys; from pathlib import Path; from mmsterf.study.results import append_results\n'
        'for i in range(40): append_results(Path("r.jsonl"), [{"run": f"{sys.argv[1]}{i}", "key": "k"}])'
    )
    environment = {**os.environ, 'PYTHONPATH': str(ROOT)}
    processes = [subprocess.Popen([sys.executable, '-c', code, n], cwd=tmp_path, env=environment) for n in 'ab']
    assert [process.wait() for process in processes] == [0, 0]
    assert len({r['run'] for r in read_results(tmp_path / 'r.jsonl')}) == 80
    with locked(tmp_path / 'run') as first, locked(tmp_path / 'run', wait=False) as second:
        assert first and not second
    with locked(tmp_path / 'run', wait=False) as third:
        assert third


def test_saturated_neurons_are_counted(tmp_path):
    """Of outputs (0, 1, 2, 4, 4) out of at most 4, two are saturated."""
    import torch

    from mmsterf.snn import ILIF

    model = torch.nn.Sequential(ILIF(max_count=4))
    with measuring.Saturation(model) as measured:
        model(torch.tensor([0.0, 1.0, 2.0, 4.0, 9.0]))
    assert measured.share(['0']) == pytest.approx(0.4) and measured.share([]) is None
    names = ['backbone.stage3.0.attn.proj.conv.neuron', 'backbone.stage3.0.attn.spike', 'backbone.stem']
    assert measuring.attention_outputs(names) == names[:1]


def test_fields_of_stages_are_kept(tmp_path):
    """Of one step, the config's own hook measures outputs of the backbone, which are none."""
    (tmp_path / 'a/vis_data').mkdir(parents=True)
    lines = [
        {'step': 5, 'st_erf/backbone.stage1b.0/radius': 2.0},
        {'step': 9, 'st_erf/backbone-0/radius': 3.0},
    ]
    (tmp_path / 'a/vis_data/scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    assert measuring.in_training(tmp_path) == [{'iter': 5, 'erf': {'1b': {'radius': 2.0}}}]


def test_differences_are_paired_by_seed():
    """Seeds differ by 0.1 and 0.3, values by 0.05 in each: the difference is 0.05, whatever the seeds."""
    import pandas as pd

    rows = [
        {'factor': 'f', 'task': 't', 'value': v, 'seed': s, 'mIoU': base + plus, 'parameters': 10, 'MMACs': 1.0,
         'MACs+ACs (M)': 1.0, 'CPU s': 9.0}
        for v, plus in (('a', 0.0), ('b', 0.05)) for s, base in ((0, 0.1), (1, 0.4))
    ]  # fmt: skip
    lines = tables.factor_table(pd.DataFrame(rows), 'mIoU').splitlines()
    assert lines[0].startswith('| value | runs | mIoU | mIoU - a |')
    assert lines[2].startswith('| a | 2 | 0.250 ± 0.212 |  |')
    assert lines[3].startswith('| b | 2 | 0.300 ± 0.212 | +0.050')


def test_table_of_pretraining():
    """Time of pretraining counts for what starts from it; differences are paired by seed."""
    lines = [
        dict(run=f'seg-{start}-{seed}', task='seg', start=start, seed=seed, cpu_s=cpu, points=[{'mIoU': miou}])
        for start, seed, cpu, miou in (
            ('nothing', 0, 240, 40), ('nothing', 1, 240, 50), ('pretrained', 1, 120, 58), ('pretrained', 0, 120, 52)
        )
    ]  # fmt: skip
    of_classifiers = [
        dict(run=f'seg-classifier-{s}', task='seg', start='classifier', seed=s, cpu_s=60 + 120 * s, points=[{}])
        for s in (0, 1)
    ]
    *_, nothing, pretrained = pretraining.table([*lines, *of_classifiers]).splitlines()
    assert nothing == '| seg, mIoU | nothing | 2 | 4.0 | 0.450 ± 0.071 |  |'
    assert pretrained == '| seg, mIoU | pretrained | 2 | 4.0 | 0.550 ± 0.042 | +0.100 (+0.120, +0.080) |'
    runs = pretraining.specs(['seg'], [0], 'scenes', 'pictures', Path('/out'))
    assert [run['run'] for run in runs] == ['seg-classifier-0', 'seg-nothing-0', 'seg-pretrained-0']
    assert runs[2]['checkpoint'].startswith('/out/seg-classifier-0/') and not runs[1]['checkpoint']
