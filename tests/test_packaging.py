"""Installing: the wheel, configs by package name, and what the environment script refuses."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.hub import get_config

import mmsterf.registry  # noqa: F401  makes `mmsterf::` known
from mmsterf.versions import REQUIRED

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / 'requirements'


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


def install(python: str, venv: Path, *stack: str, **environment) -> subprocess.CompletedProcess:
    command = ['bash', str(REQUIREMENTS / 'install.sh'), python, str(venv), *stack]
    return subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True)


def test_environment_needs_a_compiler(tmp_path):
    done = install(sys.executable, tmp_path / 'venv', CXX='no-such-compiler')
    assert done.returncode == 1 and not done.stdout and not (tmp_path / 'venv').exists()
    assert done.stderr.count('\n') == 1 and 'C++ compiler' in done.stderr and 'no-such-compiler' in done.stderr


@pytest.mark.parametrize(
    'version, stack, words',
    [
        ('3.7', (), ['Python 3.11, 3.12 or 3.13 is needed', 'is 3.7']),
        ('3.14', ('onedl',), ['Python 3.11, 3.12 or 3.13 is needed', 'is 3.14']),
        ('3.13', ('openmmlab',), ['mmcv 2.1.0 does not build on Python 3.13', 'STACK']),
        ('3.12', ('mmlab',), ['openmmlab and onedl, not mmlab']),
    ],
)
def test_environment_needs_its_python_and_stack(tmp_path, version, stack, words):
    python = tmp_path / 'python'
    python.write_text(f'#!/bin/sh\necho {version}\n')
    python.chmod(0o755)
    done = install(str(python), tmp_path / 'venv', *stack)
    assert done.returncode == 1 and not done.stdout and not (tmp_path / 'venv').exists()
    assert done.stderr.count('\n') == 1 and all(word in done.stderr for word in words), done.stderr


def test_environment_of_one_stack_is_not_made_one_of_both(tmp_path):
    here = f'{sys.version_info.major}.{sys.version_info.minor}'
    python = tmp_path / 'venv' / 'bin' / 'python'
    python.parent.mkdir(parents=True)
    python.write_text('#!/bin/sh\necho 3.9 onedl\n')  # what it answers to the question what it holds
    python.chmod(0o755)
    done = install(sys.executable, tmp_path / 'venv', 'onedl')
    assert done.returncode == 1 and not done.stdout and done.stderr.count('\n') == 1
    assert f'has Python 3.9 and the packages of onedl, not {here} and onedl' in done.stderr and 'VENV=' in done.stderr


def named(file: str) -> set:
    """Distributions that a list of requirements/ names."""
    lines = (line.strip() for line in (REQUIREMENTS / file).read_text().splitlines())
    return {re.split('[=<>]', line)[0] for line in lines if line and not line.startswith('#')}


def test_each_package_of_the_environment_has_its_version():
    locked = named('lock.txt')
    for file in ('stack.txt', 'openmmlab.txt', 'onedl.txt'):
        assert named(file) and not named(file) - locked, file
    forks = {name for family in REQUIRED.values() for name in family}
    assert not forks - locked
    script = (REQUIREMENTS / 'install.sh').read_text()
    calls = re.findall(r'(?:^|\|\| )install (.*)$', script, re.MULTILINE)
    words = {word for call in calls for word in call.split() if re.fullmatch(r'[A-Za-z][\w-]+', word)}
    assert len(words) > 15 and not words - locked


@pytest.mark.parametrize('name', ['Dockerfile', 'Dockerfile.cpu'])
def test_images_are_made_by_the_script_of_the_environment(name):
    """They are not built here: what they call and copy is there, and what they leave out is not needed."""
    text = (ROOT / 'docker' / name).read_text().replace('\\\n', ' ')
    steps = [line.split(maxsplit=1) for line in text.splitlines() if line and line[0] not in '# ']
    assert [step for step in steps if step[0] == 'COPY'] == [['COPY', '. .']]
    left_out = (ROOT / '.dockerignore').read_text().split()
    assert not [path for path in left_out if not path.startswith('.') and git_has(path)]
    (script,) = (argument for step, argument in steps if step == 'RUN' and 'install.sh' in argument)
    call = re.search(r'bash (\S+) python(\S+) (\S+) "\$STACK"', script)
    assert (ROOT / call[1]).is_file() and ['ARG', 'STACK='] in steps
    assert ['ENV', f'PATH={call[3]}/bin:$PATH'] in steps and ['CMD', '["mmsterf", "--help"]'] in steps
    base = next(argument for step, argument in steps if step == 'FROM')
    assert f'python:{call[2]}-' in base or f'python{call[2]}-dev' in text
    assert f'Programming Language :: Python :: {call[2]}"' in (ROOT / 'pyproject.toml').read_text()


def git_has(path: str) -> bool:
    listed = subprocess.run(['git', 'ls-files', '--', path], cwd=ROOT, capture_output=True, text=True)
    return bool(listed.stdout)


def test_importing_the_package_imports_no_openmmlab():
    code = (
        'import sys, mmsterf; '
        "assert not [m for m in sys.modules if m.split('.')[0] in ('mmengine', 'mmcv', 'mmdet', 'mmseg', 'torch')]; "
        'import mmsterf.snn; '
        "assert not [m for m in sys.modules if m.split('.')[0] in ('mmengine', 'mmcv', 'mmdet', 'mmseg')]"
    )
    subprocess.run([sys.executable, '-c', code], check=True)
