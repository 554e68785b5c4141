"""The metafiles: every config once, with the numbers that the tool finds."""

import hashlib
import importlib.util
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from mmsterf.zoo import ROOT, SHIPPED, models, models_of_package, weights_of

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


def test_model_index_as_openmim_reads_it():
    """openmim loads it with this package, and finds configs and data sets by these keys."""
    load = pytest.importorskip('modelindex.load_model_index').load
    index = load(str(ROOT / 'model-index.yml'))
    assert {model.name: model.config for model in index.models} == {m['Name']: m['Config'] for m in models()}
    collections = {collection.name for collection in index.collections}
    for model in index.models:
        assert (ROOT / model.config).is_file() and model.in_collection in collections
        assert model.metadata.data['Training Data'] == model.results[0].dataset


@pytest.mark.parametrize('name', ['mask_rcnn_sdt_conv', 'imagenet/sdtv2_15m_in1k', 'published/mask_rcnn_sdt_srb'])
def test_entries_are_what_the_tool_writes(name):
    config = f'configs/{name}.py'
    listed = next(model for model in models() if model['Config'] == config)
    assert tool.entry(REPOSITORY / config) == listed, 'run tools/release/make_metafiles.py'


def test_published_results_are_marked():
    with_results = [result for model in models() for result in model['Results'] if 'Metrics' in result]
    assert len(with_results) == len(tool.PUBLISHED)
    assert all(result['Source'].startswith('published (') for result in with_results)


def test_weights_in_the_package_are_those_that_were_written_down():
    listed = {model['Metadata'][SHIPPED]: model for model in models() if SHIPPED in model['Metadata']}
    files = sorted((REPOSITORY / 'weights').glob('*.pth'))
    assert [f'weights/{file.name}' for file in files] == sorted(listed) and len(files) == 2
    for file in files:
        model, facts = listed[f'weights/{file.name}'], json.loads(file.with_suffix('.json').read_text())
        assert hashlib.sha256(file.read_bytes()).hexdigest() == facts['sha256'] == model['Metadata']['SHA-256']
        assert facts['config'] == model['Config'] and facts['command'] and facts['validation']
        assert file.stat().st_size < 8e6 and weights_of(model) == str(ROOT / 'weights' / file.name)


def test_models_by_name_find_digits_without_training():
    from mmdet.apis import DetInferencer
    from mmengine.hub import get_model
    from mmseg.apis import MMSegInferencer

    from mmsterf.datasets.digit_scenes import make_scene

    scenes = [make_scene('val', seed=0, index=i) for i in range(4)]
    detector = DetInferencer('mask_rcnn_sdt_mlpixer_digits', device='cpu', show_progress=False)
    wanted = found = 0
    for scene, result in zip(scenes, detector([scene.image for scene in scenes])['predictions']):
        best = [label for label, score in zip(result['labels'], result['scores']) if score > 0.3]
        wanted += len(scene.labels)
        found += sum((Counter(best) & Counter(scene.labels)).values())
    assert found > wanted / 2
    segmentor = MMSegInferencer('semantic_fpn_sdt_mlpixer_digits', device='cpu')
    right = strokes = 0
    for scene in scenes:
        labels = segmentor(scene.image)['predictions']
        truth = np.array([0, *(label + 1 for label in scene.labels)])[scene.instances]
        strokes += (truth > 0).sum()
        right += ((labels == truth) & (truth > 0)).sum()
    assert right > strokes / 2
    model = get_model('mmsterf::mask_rcnn_sdt_mlpixer_digits.py', pretrained=True)
    assert torch.equal(model.backbone.stem.conv.weight, detector.model.backbone.stem.conv.weight)


def test_models_of_a_package(tmp_path):
    (tmp_path / 'mmseg').mkdir()
    found = {model['Name'] for model in models_of_package(tmp_path)}  # a clone
    installed = list(models_of_package('/site-packages/mmseg/.mim'))
    assert {model['Name'] for model in installed} == found >= {'semantic_fpn_sdt_srb'}
    assert all(Path(model['Config']).is_file() and Path(model['Config']).is_relative_to(ROOT) for model in installed)
    with_weights = {model['Name'] for model in installed if model['Weights']}
    assert with_weights == {'semantic_fpn_sdt_mlpixer_digits'}
    assert not list(models_of_package('/site-packages/mmpose/.mim'))
