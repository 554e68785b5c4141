"""What an installed mmsterf makes known to mmengine: in a Python that imports nothing of mmsterf itself."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from mmsterf import mmengine_names

ROOT = Path(__file__).resolve().parents[1]
CODE = """
import sys
from mmengine.config import Config
from mmengine.hub import get_config, get_model
from mmengine.infer import BaseInferencer

child = Config.fromfile(sys.argv[1]).model.backbone  # as mmdet's own tools read it
assert (child.type, child.arch, child.mlp_ratio) == ('mmsterf.MetaSDT', 'tiny', 6)
assert get_config('mmsterf::mask_rcnn_sdt_mlpixer.py').model.backbone.mixer.type == 'MLPixer'
assert 'mmsterf.registry' not in sys.modules
names = [model['Name'] for model in BaseInferencer._get_models_from_metafile(sys.argv[2])]
assert 'semantic_fpn_sdt_srb_tiny' in names and not any('rcnn' in name for name in names)
try:  # its weights are read as the tools do
    BaseInferencer._init_model(None, Config.fromfile(sys.argv[1]), 'hf://owner/model.pth')
except ValueError as error:
    assert 'are hf://owner/repo/file' in str(error)
else:
    raise AssertionError
import torch
with torch.device('meta'):
    model = get_model('mmsterf::semantic_fpn_sdt_srb_tiny.py')
assert [type(part).__name__ for part in (model, model.backbone)] == ['EncoderDecoder', 'MetaSDT']
"""


def test_without_importing_anything_first(tmp_path):
    (tmp_path / 'child.py').write_text(
        "_base_ = 'mmsterf::mask_rcnn_sdt_srb_tiny.py'\nmodel = dict(backbone=dict(mlp_ratio=6))\n"
    )
    folder = tmp_path / 'mmseg' / '.mim'  # of a package whose models are listed
    folder.mkdir(parents=True)
    (folder / 'model-index.yml').write_text('Import: []')
    # What site-packages has of an installed mmsterf.
    code = f'import site; site.addsitedir({str(ROOT)!r})\n{CODE}'
    environment = {**os.environ, 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, '-W', 'ignore', '-c', code, str(tmp_path / 'child.py'), str(folder)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_the_fork_whose_table_names_a_distribution_that_is_not_there():
    # 'pytest' stands for a distribution that is there, whichever family of packages is installed.
    for named, expected in (('onedl-mmseg-nowhere', 'mmseg'), ('pytest', 'pytest')):
        utils = SimpleNamespace(MODULE2PACKAGE={'mmseg': named})
        mmengine_names._utils(utils)
        assert {'mmseg': expected, 'mmsterf': 'mmsterf'} == utils.MODULE2PACKAGE


def test_an_mmengine_with_other_functions_works_all_the_same(tmp_path, monkeypatch):
    """Its modules are imported; our names are not known there, and nothing else is."""
    folder = tmp_path / 'mmengine_of_tomorrow'
    folder.mkdir()
    (folder / '__init__.py').touch()
    (folder / 'hub.py').write_text('found = 1\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(mmengine_names._LESSONS, 'mmengine_of_tomorrow.hub', mmengine_names._hub)
    import mmengine_of_tomorrow.hub as hub

    assert hub.found == 1 and not hasattr(hub, 'get_model')


def test_register_all_modules():
    from mmengine.registry import MODELS, DefaultScope

    from mmsterf.utils import register_all_modules

    before = DefaultScope.get_current_instance()
    register_all_modules()
    assert MODELS.get('mmsterf.MetaSDT').__name__ == 'MetaSDT' and MODELS.get('mmdet.FPN') and MODELS.get('mmseg.FPN')
    assert DefaultScope.get_current_instance() is before
