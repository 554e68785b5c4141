"""The metafiles: every config once, with the numbers that the tool finds."""

import importlib.util
from pathlib import Path

import pytest
import yaml

from mmsterf.zoo import ROOT, models, models_of_package

REPOSITORY = Path(__file__).resolve().parents[1]
_spec = importlib.util.spec_from_file_location('make_metafiles', REPOSITORY / 'tools/release/make_metafiles.py')
tool = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(tool)


def test_every_config_is_listed_once():
    listed = [model['Config'] for model in models()]
    configs = [str(path.relative_to(REPOSITORY)) for path in tool.config_files()]
    assert sorted(listed) == sorted(configs), 'run tools/release/make_metafiles.py'
    names = [model['Name'].lower() for model in models()]
    assert len(set(names)) == len(names) > 50
    files = [yaml.safe_load(path.read_text()) for path in tool.FOLDER.glob('*.yml')]
    collections = {collection['Name'] for file in files for collection in file['Collections']}
    assert {model['In Collection'] for model in models()} <= collections


@pytest.mark.parametrize('name', ['mask_rcnn_sdt_conv', 'imagenet/sdtv2_15m_in1k', 'published/mask_rcnn_sdt_srb'])
def test_entries_are_what_the_tool_writes(name):
    config = f'configs/{name}.py'
    listed = next(model for model in models() if model['Config'] == config)
    assert tool.entry(REPOSITORY / config) == listed, 'run tools/release/make_metafiles.py'


def test_published_results_are_marked():
    with_results = [result for model in models() for result in model['Results'] if 'Metrics' in result]
    assert len(with_results) == len(tool.PUBLISHED)
    assert all(result['Source'].startswith('published (') for result in with_results)


def test_models_of_a_package(tmp_path):
    (tmp_path / 'mmseg').mkdir()
    found = {model['Name'] for model in models_of_package(tmp_path)}  # a clone
    installed = list(models_of_package('/site-packages/mmseg/.mim'))
    assert {model['Name'] for model in installed} == found >= {'semantic_fpn_sdt_srb'}
    assert all(Path(model['Config']).is_file() and Path(model['Config']).is_relative_to(ROOT) for model in installed)
    assert all(model['Weights'] is None for model in installed)
    assert not list(models_of_package('/site-packages/mmpose/.mim'))
