"""mmdet's and mmseg's inference APIs on shipped configs, made small: files, arrays, batches, and inferencers."""

from unittest.mock import patch

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from tiny_tasks import ROOT

ARCH = {'embed_dims': (8, 8, 16, 16), 'depths': (1, 1, 1, 1, 1)}
# One of each kind of pipeline and model; configs of a family share both.
SEGMENTATION = [f'semantic_fpn_{name}.py' for name in ('sdt_mlpixer_digits', 'sdtv2_digits', 'sdt_srb_tiny')]
DETECTION = [f'mask_rcnn_{name}.py' for name in ('sdt_mlpixer_digits', 'sdtv2_digits', 'sdt_srb_tiny')]


def small(name: str) -> Config:
    # For each `pkg::_base_/...`, mmengine reads all of the package's model zoo first; this spares it that.
    with patch('mmengine.config.config._get_external_cfg_path', side_effect=ValueError):
        cfg = Config.fromfile(ROOT / 'configs' / name)
    backbone = cfg.model.backbone
    backbone.update(arch=ARCH, init_cfg=None)
    channels = (4, *ARCH['embed_dims'])
    indices = backbone.get('out_indices', (1, 2, 3, 4))
    cfg.model.neck.update(in_channels=[channels[i] for i in indices])
    return cfg


@pytest.fixture
def image(tmp_path) -> tuple:
    array = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    file = str(tmp_path / 'image.png')
    cv2.imwrite(file, array)
    return file, array


@pytest.mark.parametrize('name', SEGMENTATION)
def test_segmentation(name, image):
    from mmseg.apis import MMSegInferencer, inference_model, init_model

    file, array = image
    model = init_model(small(name), device='cpu')
    from_file = inference_model(model, file).pred_sem_seg.data
    assert from_file.shape[-2:] == (48, 64)
    if 'digits' in name:
        inferencer = MMSegInferencer(str(ROOT / 'configs' / name), device='cpu')
        assert inferencer(array)['predictions'].shape == (48, 64)
    for result in (inference_model(model, array), *inference_model(model, [array, array])):
        assert result.pred_sem_seg.data.equal(from_file)


@pytest.mark.parametrize('name', DETECTION)
def test_detection(name, image):
    from mmdet.apis import DetInferencer, inference_detector, init_detector

    file, array = image
    cfg = small(name)
    cfg.model.test_cfg.rpn.update(nms_pre=20, max_per_img=5)
    for step in cfg.test_pipeline:
        if step['type'] == 'Resize':
            step['scale'] = (64, 64)
    cfg.test_dataloader.dataset.pipeline = cfg.test_pipeline
    model = init_detector(cfg, None, device='cpu')
    from_file = inference_detector(model, file).pred_instances
    assert inference_detector(model, array).pred_instances.bboxes.equal(from_file.bboxes)
    assert len(inference_detector(model, [array, array])) == 2
    if 'digits' in name:
        inferencer = DetInferencer(str(ROOT / 'configs' / name), device='cpu', show_progress=False)
        assert set(inferencer(array)['predictions'][0]) >= {'labels', 'scores', 'bboxes'}


def test_shipped_segmentation_config_by_its_name(image):
    """The example of the issue, as it was."""
    from mmseg.apis import inference_model, init_model

    model = init_model(str(ROOT / 'configs/semantic_fpn_sdt_srb_tiny.py'), device='cpu')
    assert inference_model(model, image[0]).pred_sem_seg.data.shape[-2:] == (48, 64)


def test_labels_without_a_file_are_checked():
    from mmsterf.datasets.label_maps import CheckLabelMap

    check = CheckLabelMap(3)
    assert check({'img': 1}) == {'img': 1}
    with pytest.raises(ValueError, match=r'label map \(an array\) has values \[3\]; valid are 0 to 2'):
        check({'gt_seg_map': np.full((2, 2), 3, np.uint8)})
    with pytest.raises(ValueError, match=r'its image \(an array\) is of'):
        check({'gt_seg_map': np.zeros((2, 2), np.uint8), 'ori_shape': (4, 2), 'img_path': None})
