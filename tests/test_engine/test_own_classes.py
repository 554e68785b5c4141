"""`classes` and `data_root` in one place: data sets, heads, checks and evaluators follow."""

from pathlib import Path

import pytest

from mmsterf.engine.config import load_config
from mmsterf.engine.dataset_parts import dataset_leaves
from mmsterf.errors import InvalidInput
from mmsterf.versions import missing_for_pretraining

CONFIGS = Path(__file__).parents[2] / 'configs'
NAMES = ('cat', 'dog', 'hen')


def leaves(cfg):
    for split in ('train', 'val', 'test'):
        yield from dataset_leaves(cfg[f'{split}_dataloader'].dataset)


def numbers(node):
    """All `num_classes` below a node."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from [value] if key == 'num_classes' else numbers(value)
    elif isinstance(node, (list, tuple)):
        for item in node:
            yield from numbers(item)


@pytest.mark.parametrize(
    'name, heads, checks',
    [
        ('mask_rcnn_sdt_mlpixer_tiny.py', 2, 0),
        ('mask_rcnn_sdt_mlpixer_digits.py', 2, 0),
        ('semantic_fpn_sdt_mlpixer_tiny.py', 1, 3),
        ('semantic_fpn_sdt_mlpixer_digits.py', 3, 3),
        ('imagenet/sdt_mlpixer_tiny_in1k.py', 1, 0),
    ],
)
def test_everything_follows(name, heads, checks, capsys):
    if name.startswith('imagenet') and missing_for_pretraining():
        pytest.skip('mmpretrain is optional')
    cfg = load_config(str(CONFIGS / name), {'classes': list(NAMES)})
    assert all(tuple(leaf.metainfo.classes) == NAMES for leaf in leaves(cfg))
    assert list(numbers(cfg.model)) == [3] * heads
    assert list(numbers([leaf.pipeline for leaf in leaves(cfg)])) == [3] * checks
    assert set(numbers(cfg.get('tta_pipeline'))) <= {3}
    told = capsys.readouterr().out
    assert '3 classes in all data sets and heads: cat, dog, hen' in told
    assert ('class_weight is left out' in told) == (name == 'semantic_fpn_sdt_mlpixer_digits.py')
    if 'semantic' in name:
        assert {leaf.type for leaf in leaves(cfg)} == {'BaseSegDataset'}
        assert all(leaf.reduce_zero_label for leaf in leaves(cfg))
    if 'imagenet' in name:
        assert cfg.data_preprocessor.num_classes == 3 and cfg.val_evaluator.topk == (1,)
        assert [leaf.data_prefix for leaf in leaves(cfg)] == ['train', 'val', 'val']


def test_some_classes_of_a_known_data_set_stay_its_own():
    cfg = load_config(str(CONFIGS / 'semantic_fpn_sdt_mlpixer_tiny.py'), {'classes': ['wall', 'sky']})
    assert {leaf.type for leaf in leaves(cfg)} == {'ADE20KDataset'}


def test_as_variables_of_a_file(tmp_path):
    file = tmp_path / 'mine.py'
    file.write_text(
        f"_base_ = '{CONFIGS / 'mask_rcnn_sdt_mlpixer_tiny.py'}'\nclasses = {NAMES}\ndata_root = '/mine/'\n"
    )
    cfg = load_config(str(file))
    assert all(tuple(leaf.metainfo.classes) == NAMES and leaf.data_root == '/mine/' for leaf in leaves(cfg))
    assert cfg.val_evaluator.ann_file == '/mine/annotations/instances_val2017.json'
    assert list(numbers(cfg.model)) == [3, 3]
    cfg.dump(str(tmp_path / 'dumped.py'))  # as a work dir gets it: nothing is left to apply
    again = load_config(str(tmp_path / 'dumped.py'))
    assert again.model == cfg.model and again.train_dataloader == cfg.train_dataloader


def test_a_root_that_a_file_sets_itself_stays(tmp_path):
    file = tmp_path / 'mine.py'
    file.write_text(
        f"_base_ = '{CONFIGS / 'mask_rcnn_sdt_mlpixer_tiny.py'}'\n"
        "train_dataloader = dict(dataset=dict(data_root='/mine/'))\n"
    )
    assert [leaf.data_root for leaf in leaves(load_config(str(file)))][0] == '/mine/'


@pytest.mark.parametrize('classes', ['cat', [], ['cat', 'cat'], ['cat', ' '], 3])
def test_what_are_no_classes(classes):
    with pytest.raises(InvalidInput, match=r'must be a list of different names'):
        load_config(str(CONFIGS / 'mask_rcnn_sdt_mlpixer_tiny.py'), {'classes': classes})
