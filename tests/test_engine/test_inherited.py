"""What a config with data of its own takes over from the demos."""

from pathlib import Path

import pytest
from mmengine.config import Config

from mmsterf.engine.inherited import inherited_settings

CONFIGS = Path(__file__).parents[2] / 'configs'
OWN = "data_root = 'mine/'\ntrain_dataloader = dict(dataset=dict(metainfo=dict(classes=('cat', 'dog'))))\n"


def read(tmp_path, base: str, text: str) -> list:
    file = tmp_path / 'mine.py'
    file.write_text(f"_base_ = '{CONFIGS / base}'\n{text}")
    return [setting.partition('=')[0] for setting in inherited_settings(Config.fromfile(file))]


def test_settings_of_the_detection_demo(tmp_path):
    found = read(tmp_path, 'mask_rcnn_sdtv2_digits.py', OWN)
    assert found == [
        'train_dataloader.dataset.indices',
        'train_dataloader.dataset.filter_cfg',
        'model.rpn_head.anchor_generator.scales',
        'model.test_cfg.rcnn.max_per_img',
    ]
    assert 'train_dataloader.dataset.indices' not in read(
        tmp_path, 'mask_rcnn_sdtv2_digits.py', OWN + 'train_dataloader["dataset"]["indices"] = 10\n'
    )


def test_class_weights_of_the_segmentation_demo(tmp_path):
    found = read(tmp_path, 'semantic_fpn_sdt_mlpixer_digits.py', OWN)
    assert found[0] == 'model.decode_head.loss_decode.class_weight' and len(found) == 3


@pytest.mark.parametrize('text', ['', 'randomness = dict(seed=1)\n'])
def test_the_same_data_need_no_word(tmp_path, text):
    assert read(tmp_path, 'mask_rcnn_sdt_mlpixer_digits.py', text) == []
