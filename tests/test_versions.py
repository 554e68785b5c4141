import subprocess
import sys
from importlib.metadata import PackageNotFoundError

import pytest

from mmsterf import versions
from mmsterf.versions import check_versions

GOOD = {
    'torch': '2.13.0+cpu',
    'mmengine': '0.10.7',
    'mmcv': '2.1.0',
    'mmdet': '3.3.0',
    'mmsegmentation': '1.2.2',
    'mmpretrain': '1.2.0',
    'spikingjelly': '2.0.0',
}
FORKS = {
    'torch': '2.13.0',
    'onedl-mmengine': '0.10.12',
    'onedl-mmcv': '2.3.6',
    'onedl-mmdetection': '3.5.1',
    'onedl-mmsegmentation': '1.4.2',
    'onedl-mmpretrain': '1.3.6',
    'spikingjelly': '2.0.0',
}


@pytest.fixture
def installed(monkeypatch):
    """Pretend that distributions are installed, and that mmcv's operators load or not."""

    def pretend(distributions: dict, absent: tuple = (), operators: bool = True) -> None:
        def version(name: str) -> str:
            if name not in distributions:
                raise PackageNotFoundError(name)
            return distributions[name]

        def import_module(name: str) -> None:
            if not operators:
                raise ImportError('undefined symbol')

        monkeypatch.setattr(versions, 'version', version)
        monkeypatch.setattr(versions, 'find_spec', lambda name: None if name in absent else name)
        monkeypatch.setattr(versions, 'import_module', import_module)

    return pretend


@pytest.mark.parametrize('distributions', [GOOD, FORKS], ids=['openmmlab', 'onedl'])
def test_both_families_pass(installed, distributions):
    installed(distributions)
    check_versions()


def test_everything_wrong_is_in_one_sentence(installed):
    installed({**GOOD, 'mmcv': '2.2.0', 'torch': '2.5.1'}, absent=('mmseg',))
    with pytest.raises(ImportError) as error:
        check_versions()
    text = str(error.value)
    assert 'mmcv >=2.0.0,<2.2.0 or onedl-mmcv >=2.3.0,<2.4.0 (found mmcv 2.2.0)' in text
    assert 'torch >=2.6.0 (found torch 2.5.1)' in text
    assert 'mmsegmentation >=1.2.0,<1.3.0 or onedl-mmsegmentation >=1.4.0,<1.5.0 (not installed)' in text
    assert 'mmdet >=' not in text and '\n' not in text


def test_classification_is_optional(installed):
    installed(GOOD, absent=('mmpretrain',))
    check_versions()
    installed({**GOOD, 'mmpretrain': '1.0.0'})
    with pytest.raises(ImportError, match=r'mmpretrain >=1.2.0,<1.3.0 or .* \(found mmpretrain 1.0.0\)'):
        check_versions()
    installed(GOOD, absent=('mmdet', 'mmseg'))
    check_versions(one_task=True)
    with pytest.raises(ImportError, match='mmdet'):
        check_versions()


def test_operators_that_do_not_load(installed):
    installed(GOOD, operators=False)
    with pytest.raises(ImportError, match=r'operators of mmcv.*undefined symbol.*torch 2\.13\.0.*isolation mmcv$'):
        check_versions()
    installed(FORKS, operators=False)
    with pytest.raises(ImportError, match=r'isolation onedl-mmcv$'):
        check_versions()


def test_importing_the_check_imports_none_of_what_it_checks():
    code = f'import sys, mmsterf.engine; print(set({list(versions.REQUIRED)}) & set(sys.modules))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.stdout.strip() == 'set()', done.stderr


def test_one_task_is_enough_for_the_plugin(installed):
    installed(GOOD, absent=('mmseg',))
    check_versions(one_task=True)
    with pytest.raises(ImportError, match=r'mmsegmentation .* \(not installed\)'):
        check_versions()
    installed(GOOD, absent=('mmseg', 'mmdet', 'mmpretrain'))
    with pytest.raises(ImportError, match=r'mmdet .* \(not installed\).*mmsegmentation .* \(not installed\)'):
        check_versions(one_task=True)


def test_a_config_that_names_the_plugin_says_what_is_wrong():
    """mmengine would say that mmsterf.MetaSDT is not in the registry."""
    code = (
        'import mmsterf.versions as v; v.REQUIRED["mmcv"] = dict.fromkeys(v.REQUIRED["mmcv"], ("9.0", None))\n'
        'from mmengine.registry import MODELS; MODELS.build(dict(type="mmsterf.MetaSDT"))'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode and 'mmsterf needs mmcv >=9.0 or onedl-mmcv >=9.0 (found ' in done.stderr.splitlines()[-1]
