"""The converter's command line."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmsterf.checkpoint import read

TOOL = Path(__file__).parents[2] / 'tools/model_converters/published_to_mmsterf.py'
main = runpy.run_path(str(TOOL))['main']
HEAD = {'head.weight': torch.ones(10, 96), 'head.bias': torch.ones(10)}


@pytest.fixture
def run(tmp_path, capsys):
    """Run the tool on files of one folder; returns what it prints, or what it fails with."""

    def call(src: str, dst: str, *flags: str) -> str:
        try:
            main([str(tmp_path / src), str(tmp_path / dst), *flags])
        except SystemExit as error:
            return str(error.code)
        return capsys.readouterr().out

    return call


@pytest.fixture
def weights(golden) -> dict:
    return golden('backbone_srb_r4').weights()


def assert_same(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.mark.parametrize('wrap', [lambda s: {'model': s, 'epoch': 1}, lambda s: {'state_dict': s}, dict])
def test_there_and_back(run, weights, tmp_path, wrap):
    torch.save(wrap({f'module.{key}': value for key, value in weights.items()}), tmp_path / 'a.pth')
    out = run('a.pth', 'b.pth')
    assert out.splitlines()[0] == (
        'model backbone, arch custom, embed_dims (16, 32, 64, 96), mixer SRB, mlp_ratio 4, tensors 583, family MetaSDT'
    )
    assert run('b.pth', 'c.pth', '--to-published').splitlines()[0] == out.splitlines()[0]
    assert_same(read(str(tmp_path / 'c.pth'))['model'], weights)


def test_classifier_head(run, weights, tmp_path):
    torch.save({'model': {**weights, **HEAD}}, tmp_path / 'a.pth')
    assert 'model classifier' in run('a.pth', 'whole.pth')
    assert 'left out: head.weight, head.bias' in run('a.pth', 'rest.pth', '--skip-head')
    whole, rest = (read(str(tmp_path / name))['state_dict'] for name in ('whole.pth', 'rest.pth'))
    assert whole.keys() == {f'backbone.{key}' for key in rest} | {'head.fc.weight', 'head.fc.bias'}
    run('whole.pth', 'back.pth', '--to-published')
    assert_same(read(str(tmp_path / 'back.pth'))['model'], {**weights, **HEAD})
    assert 'left out: head.fc.weight' in run('whole.pth', 'bare.pth', '--to-published', '--skip-head')
    assert_same(read(str(tmp_path / 'bare.pth'))['model'], weights)


def test_whole_models_keep_class_names(run, golden, tmp_path):
    shapes = golden('semantic_fpn_srb_tiny').meta['state_dict'].items()
    weights = {key: torch.rand(shape) if shape else torch.tensor(3) for key, shape in shapes}
    meta = {'dataset_meta': {'classes': ('wall', 'sky'), 'palette': [[1, 2, 3], [4, 5, 6]]}, 'iter': 160000}
    torch.save({'state_dict': weights, 'meta': meta}, tmp_path / 'a.pth')
    assert 'model segmentor, arch tiny' in run('a.pth', 'b.pth', '--skip-head')
    assert 'model segmentor, arch tiny' in run('b.pth', 'c.pth', '--to-published')
    found = read(str(tmp_path / 'c.pth'))
    assert found['meta'] == {'dataset_meta': meta['dataset_meta']}
    assert_same(found['state_dict'], weights)


def test_nothing_is_overwritten(run, weights, tmp_path):
    torch.save(weights, tmp_path / 'a.pth')
    (tmp_path / 'b.pth').write_text('precious')
    assert '--force' in run('a.pth', 'b.pth')
    assert (tmp_path / 'b.pth').read_text() == 'precious'
    assert 'written' in run('a.pth', 'b.pth', '--force')
    assert 'written' in run('a.pth', 'a.pth', '--force')  # onto itself
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.pth', 'b.pth']


def test_errors_list_everything_and_leave_nothing(run, weights, tmp_path):
    weights.pop('block4.1.mlp.fc2_bn.bias')
    weights['surplus.weight'] = torch.ones(1)
    torch.save({'model': weights}, tmp_path / 'a.pth')
    error = run('a.pth', 'b.pth')
    assert error.startswith('error: not a published backbone')
    assert 'unknown (1): surplus.weight' in error and 'missing (1): block4.1.mlp.fc2_bn.bias' in error
    (tmp_path / 'c.pth').write_bytes((tmp_path / 'a.pth').read_bytes()[:5000])
    assert 'c.pth is damaged: its end is missing' in run('c.pth', 'b.pth')
    assert 'is not a file' in run('d.pth', 'b.pth')
    assert not (tmp_path / 'b.pth').exists()


def test_as_a_program_on_a_hostile_file(tmp_path):
    class Hostile:
        def __reduce__(self) -> tuple:
            return open, (str(tmp_path / 'victim'), 'w')

    torch.save({'model': Hostile()}, tmp_path / 'a.pth')
    command = [sys.executable, str(TOOL), str(tmp_path / 'a.pth'), str(tmp_path / 'b.pth')]
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert found.returncode == 1 and found.stderr.startswith('error: ') and 'Traceback' not in found.stderr
    assert 'never run' in found.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.pth']
