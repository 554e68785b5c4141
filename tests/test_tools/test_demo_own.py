"""tools/demo_own.py: the three commands on a folder, in this process, to pictures and numbers."""

import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from tiny_tasks import ROOT

sys.path.append(str(ROOT / 'tests/test_owndata'))
import made_data as made


@pytest.fixture
def demo(monkeypatch):
    """The tool's main, whose tools run in this process, and the names of those that ran."""
    ran, real = [], subprocess.run

    def run(command, **options):
        script = Path(command[1])
        if script.parent != ROOT / 'tools':  # what libraries ask of the system
            return real(command, **options)
        ran.append(script.name)
        with monkeypatch.context() as patch:
            patch.setattr(sys, 'argv', list(map(str, command[1:])))
            runpy.run_path(str(script), run_name='__main__')
        return SimpleNamespace(returncode=0, stderr='')

    monkeypatch.setattr(subprocess, 'run', run)
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    names = runpy.run_path(str(ROOT / 'tools/demo_own.py'), run_name='demo_own')
    whole = names['_seconds']
    # Iterations are timed, and then taken for so slow that two of them fill the time.
    monkeypatch.setitem(names['_run'].__globals__, '_seconds', lambda config: 3.0 if whole(config) > 0 else None)
    return names['main'], ran


def test_folder_to_pictures_and_numbers(demo, tmp_path, capfd):
    main, ran = demo
    data = tmp_path / 'mine'
    data.mkdir()
    made.make_yolo(data)
    work = tmp_path / 'work'
    main([str(data), '--minutes', '0.1', '--work-dir', str(work)])
    assert ran == ['init_config.py', 'train.py', 'init_config.py', 'train.py', 'predict.py']
    told = capfd.readouterr().out
    assert '2 classes' in told and '2 iterations take about 0.1 minutes' in told
    assert 'on 2 pictures that were not trained on: box AP50 ' in told
    pictures = sorted((work / 'predictions/pictures').glob('*.jpg'))
    assert len(pictures) == 2 and min(Image.open(pictures[0]).size) >= 400
    assert sorted(path.name for path in tmp_path.iterdir()) == ['mine', 'work']


def test_digit_scenes_are_for_detection(demo, tmp_path):
    with pytest.raises(SystemExit, match='digit scenes in COCO form, which are for --task det'):
        demo[0](['--task', 'seg', '--work-dir', str(tmp_path / 'work')])
    assert not demo[1] and not (tmp_path / 'work').exists()
