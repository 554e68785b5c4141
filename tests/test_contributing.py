"""The examples of CONTRIBUTING.md do what they say."""

import re
from pathlib import Path

import pytest
from mmdet.registry import DATASETS
from mmengine.registry import DefaultScope

from mmsterf.registry import MODELS
from mmsterf.snn import NEURONS

TEXT = (Path(__file__).resolve().parents[1] / 'CONTRIBUTING.md').read_text()
EXAMPLES = dict(re.findall(r'^## (.+?)$.*?^```python\n(.*?)^```$', TEXT, re.M | re.S))


def test_one_for_each_part():
    assert list(EXAMPLES) == ['A neuron', 'A mixer', 'A backbone', 'A head', 'A data set']


@pytest.mark.parametrize('name', EXAMPLES)
def test_example(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    DefaultScope.get_instance('other tests', scope_name='mmseg')
    try:
        exec(compile(EXAMPLES[name], f'CONTRIBUTING.md: {name}', 'exec'), {'__name__': 'example'})
    finally:
        DefaultScope._instance_dict.pop('other tests')
        for table in (NEURONS, MODELS.module_dict, DATASETS.module_dict):
            for key in [key for key, made in table.items() if made.__module__ == 'example']:
                del table[key]
