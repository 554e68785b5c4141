"""What the sweep of all exports keeps, repeats and counts; its exports are replaced here."""

import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture
def sweep(monkeypatch):
    """The program: from its arguments, and names of configs that fail, to the exit status and what it exported."""
    spec = importlib.util.spec_from_file_location('exports_main', Path(__file__).with_name('__main__.py'))
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, 'path', sys.path[:])
    monkeypatch.setitem(sys.modules, spec.name, module)  # its dataclass looks there
    spec.loader.exec_module(module)

    def run(*arguments, fails=()):
        done = []

        def export(name, kind):
            done.append((name, kind))
            if name in fails:
                raise ValueError(f'\n {name} is not to be exported\nat all')
            return module.Found(1e-7 * len(name), 2, 1, 3)

        monkeypatch.setattr(module, 'names', lambda: ['a', 'bb', 'other'])
        monkeypatch.setattr(module, 'commit_here', lambda: 'abc')
        monkeypatch.setattr(module, 'sweep', export)
        monkeypatch.setattr(sys, 'argv', ['exports', *map(str, arguments)])
        return module.main(), done

    return run


def test_a_failure_is_counted_and_done_again(sweep, tmp_path, capsys):
    arguments = '--out', tmp_path / 'found', '--formats', 'onnx'
    assert sweep(*arguments, '--only', 'b', fails=['bb']) == (1, [('bb', 'onnx')])
    said = capsys.readouterr().out.splitlines()
    assert said[0] == 'bb onnx: failed: ValueError: bb is not to be exported'
    assert said[1].startswith('1 exports (1 at abc): 0 exported, 1 failed; ')
    # Goes on with what is missing; what failed is not tried again unasked, and still counts.
    assert sweep(*arguments) == (1, [('a', 'onnx'), ('other', 'onnx')])
    assert capsys.readouterr().out.splitlines()[-1] == (
        '3 exports (3 at abc): 2 exported, 1 failed; largest difference 5.0e-07; 2 of 4 inputs with counts on an edge, '
        '6 in all'
    )
    assert sweep(*arguments, '--again', 'failed') == (0, [('bb', 'onnx')])
    assert capsys.readouterr().out.splitlines()[-1].startswith('3 exports (3 at abc): 3 exported, 0 failed; ')
    assert len((tmp_path / 'found/exports.jsonl').read_text().splitlines()) == 4
    assert sweep(*arguments) == (0, [])


def test_out_of_time(sweep, tmp_path, capsys):
    assert sweep('--minutes', '-1') == (1, [])
    said = capsys.readouterr().out.splitlines()
    assert said[0] == 'out of time: run again to go on' and said[1].startswith('6 exports (): 0 exported, 0 failed')
