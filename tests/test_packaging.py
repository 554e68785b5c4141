"""Installing: the wheel, configs by package name, and what the environment script refuses."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hub import get_config

import mmsterf.registry  # noqa: F401  makes `mmsterf::` known

ROOT = Path(__file__).resolve().parents[1]


def test_wheel_ships_configs_and_tools(tmp_path):
    source = tmp_path / 'source'
    source.mkdir()
    for name in ('mmsterf', 'configs', 'tools', 'weights'):
        ignore = shutil.ignore_patterns('__pycache__')
        shutil.copytree(ROOT / name, source / name, symlinks=True, ignore=ignore)
    for name in ('setup.py', 'pyproject.toml', 'README.md', 'LICENSE', 'model-index.yml', 'mmsterf.pth'):
        shutil.copy(ROOT / name, source)
    command = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '-w', '.', './source']
    subprocess.run(command, cwd=tmp_path, check=True)
    (wheel,) = tmp_path.glob('mmsterf-*.whl')
    shipped = set(zipfile.ZipFile(wheel).namelist())
    here = [path.relative_to(ROOT) for name in ('configs', 'tools') for path in (ROOT / name).rglob('*.py')]
    here += [path.relative_to(ROOT) for path in (ROOT / 'configs').rglob('*.yml')]
    here += [path.relative_to(ROOT) for path in (ROOT / 'weights').iterdir()]
    assert len(here) > 20
    assert not {f'mmsterf/.mim/{path}' for path in here} - shipped
    assert {'mmsterf/.mim/tools/dist_train.sh', 'mmsterf/.mim/model-index.yml', 'mmsterf.pth'} <= shipped
    (points,) = (name for name in shipped if name.endswith('/entry_points.txt'))
    assert b'mmsterf = mmsterf.__main__:main' in zipfile.ZipFile(wheel).read(points)
    code = [path.relative_to(ROOT) for path in (ROOT / 'mmsterf').rglob('*.py') if '.mim' not in path.parts]
    assert not {str(path) for path in code} - shipped


def test_configs_by_package_name(tmp_path):
    assert get_config('mmsterf::mask_rcnn_sdt_mlpixer.py').model.backbone.mixer.type == 'MLPixer'
    child = tmp_path / 'child.py'
    child.write_text("_base_ = 'mmsterf::mask_rcnn_sdt_srb_tiny.py'\nmodel = dict(backbone=dict(mlp_ratio=6))\n")
    backbone = Config.fromfile(child).model.backbone
    assert (backbone.type, backbone.arch, backbone.mlp_ratio) == ('mmsterf.MetaSDT', 'tiny', 6)
    assert get_config('mmdet::_base_/models/retinanet_r50_fpn.py').model.type == 'RetinaNet'
    with pytest.raises(FileNotFoundError, match='nowhere'):
        get_config('mmsterf::nowhere.py')


def install(python: str, venv: Path, **environment) -> subprocess.CompletedProcess:
    command = ['bash', str(ROOT / 'requirements' / 'install.sh'), python, str(venv)]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)


def test_environment_needs_a_compiler(tmp_path):
    done = install(sys.executable, tmp_path / 'venv', CXX='no-such-compiler')
    assert done.returncode == 1 and not done.stdout and not (tmp_path / 'venv').exists()
    assert done.stderr.count('\n') == 1 and 'C++ compiler' in done.stderr and 'no-such-compiler' in done.stderr


def test_environment_needs_its_python(tmp_path):
    python = tmp_path / 'python3.7'
    python.write_text('#!/bin/sh\necho 3.7\n')
    python.chmod(0o755)
    done = install(str(python), tmp_path / 'venv')
    assert done.returncode == 1 and not done.stdout and not (tmp_path / 'venv').exists()
    assert done.stderr.count('\n') == 1 and 'Python 3.11 is needed' in done.stderr and 'is 3.7' in done.stderr


def test_importing_the_package_imports_no_openmmlab():
    code = (
        'import sys, mmsterf; '
        "assert not [m for m in sys.modules if m.split('.')[0] in ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'torch')]; "
        'import mmsterf.snn; '
        "assert not [m for m in sys.modules if m.split('.')[0] in ('mmengine', 'mmcv', 'mmdet', 'mmseg')]"
    )
    subprocess.run([sys.executable, '-c', code], check=True)
