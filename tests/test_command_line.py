"""`mmsterf COMMAND`: every tool, under one name."""

import sys
from pathlib import Path

import pytest

from mmsterf import __version__
from mmsterf.__main__ import commands, main

ROOT = Path(__file__).resolve().parents[1]


def test_every_tool_is_a_command():
    tools = [path for path in (ROOT / 'tools').rglob('*') if path.suffix in ('.py', '.sh')]
    tools = [path for path in tools if path.parent.name not in ('study', 'release')]
    assert sorted(commands().values()) == sorted(tools)
    assert {'train', 'test', 'predict', 'browse', 'init-config', 'st-erf', 'energy', 'export'} <= set(commands())


def test_help_lists_them(capsys):
    main(['--help'])
    text = capsys.readouterr().out
    assert all(f'\n  {name} ' in text for name in commands())
    assert '  train ' in text and 'Train a detection or segmentation config\n' in text
    main(['--version'])
    assert capsys.readouterr().out == f'mmsterf {__version__}\n'


def test_a_command_runs_its_tool(capsys, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['mmsterf', 'parameters', '--help'])
    with pytest.raises(SystemExit) as exit:
        main()
    assert exit.value.code == 0 and capsys.readouterr().out.startswith('usage: mmsterf parameters [-h] CONFIG')
    with pytest.raises(SystemExit) as exit:
        main(['export', 'x.py', '--format', 'tflite'])
    assert exit.value.code == 2 and "mmsterf export: error: argument --format: invalid choice: 'tflite'" in (
        capsys.readouterr().err
    )


def test_scripts_of_several_processes(capfd):
    with pytest.raises(SystemExit) as exit:
        main(['dist-train', 'config.py', 'many'])
    assert exit.value.code == 2 and "GPUS must be a whole number from 1 to 1024, got 'many'" in capfd.readouterr().err


@pytest.mark.parametrize(('name', 'said'), [('trian', 'did you mean train?'), ('xyz', 'valid choices are browse, ')])
def test_unknown_commands(name, said):
    with pytest.raises(SystemExit) as exit:
        main([name])
    assert str(exit.value.code).startswith(f'error: mmsterf has no command {name!r}; ') and said in exit.value.code
