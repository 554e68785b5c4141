"""Configured strides against those of the maps, for necks and heads of every make, named as configs name them."""

import pytest
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from mmsterf.models.strides import check_strides, map_strides

BACKBONE = {'type': 'mmsterf.MetaSDT', 'arch': {'embed_dims': (8, 8, 16, 16)}, 'mlp_ratio': 1}
NECKS = {
    'CSPNeXtPAFPN': {'in_channels': [8, 8, 16], 'out_channels': 8, 'num_csp_blocks': 1},
    'PAFPN': {'in_channels': [8, 8, 16], 'out_channels': 8, 'num_outs': 3},
    'ChannelMapper': {'in_channels': [8, 8, 16], 'out_channels': 8, 'num_outs': 4},
    'YOLOXPAFPN': {'in_channels': [8, 8, 16], 'out_channels': 8, 'num_csp_blocks': 1},
    'FPN': {'in_channels': [8, 8, 16], 'out_channels': 8, 'num_outs': 5},
}
STRIDES = {'CSPNeXtPAFPN': (4, 8, 16), 'PAFPN': (4, 8, 16), 'ChannelMapper': (4, 8, 16, 32), 'YOLOXPAFPN': (4, 8, 16)}
POINTS = {'type': 'MlvlPointGenerator', 'offset': 0}
SMALL = {'num_classes': 2, 'in_channels': 8, 'feat_channels': 8}
BN = {'norm_cfg': {'type': 'BN'}}
CODER = {'type': 'DistancePointBBoxCoder'}
HEADS = {
    'FCOSHead': (lambda strides: {**SMALL, **BN, 'strides': strides}, 'bbox_head.strides'),
    'YOLOXHead': (lambda strides: {**SMALL, **BN, 'strides': strides}, 'bbox_head.strides'),
    'RTMDetHead': (
        lambda strides: {**SMALL, **BN, 'anchor_generator': {**POINTS, 'strides': strides}, 'bbox_coder': CODER},
        'bbox_head.anchor_generator.strides',
    ),
    'RetinaHead': (
        lambda strides: {
            **SMALL,
            'anchor_generator': {'type': 'AnchorGenerator', 'scales': [8], 'ratios': [1.0], 'strides': strides},
        },
        'bbox_head.anchor_generator.strides',
    ),
    'RepPointsHead': (
        lambda strides: {**SMALL, **BN, 'point_feat_channels': 8, 'point_strides': strides},
        'bbox_head.point_strides',
    ),
}


def build(neck: str, head: str, strides: list):
    cfg, _ = HEADS[head]
    detector = {
        'type': 'SingleStageDetector',
        'backbone': {**BACKBONE, 'out_indices': (1, 2, 3)},
        'neck': {'type': neck, **NECKS[neck]},
        'bbox_head': {'type': head, **cfg(strides)},
    }
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(detector)


@pytest.mark.parametrize('neck', NECKS)
def test_strides_behind_necks(neck):
    model = build(neck, 'FCOSHead', [4, 8, 16])
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert map_strides(model) == STRIDES.get(neck, (4, 8, 16, 32, 64))
    assert all(module.training for module in model.neck.modules())
    assert all(value.equal(before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize('neck', ['CSPNeXtPAFPN', 'FPN'])
@pytest.mark.parametrize('head', HEADS)
def test_wrong_strides_are_named_by_the_key_of_the_config(neck, head):
    key = HEADS[head][1].replace('.', r'\.')
    with pytest.raises(ValueError, match=rf'^{key} is \(8, 16, 32\), but the maps have .*Set {key} to \(4, 8, 16\)'):
        check_strides(build(neck, head, [8, 16, 32]))
    check_strides(build(neck, head, [4, 8, 16]))


def test_neck_that_takes_other_maps_is_left_to_the_run():
    model = build('CSPNeXtPAFPN', 'FCOSHead', [8, 16, 32])
    model.backbone.out_channels = (8, 8, 99)
    assert map_strides(model) is None
    check_strides(model)


def test_cascade_extractors_are_checked():
    roi = {
        'type': 'SingleRoIExtractor',
        'roi_layer': {'type': 'RoIAlign', 'output_size': 3},
        'out_channels': 8,
        'featmap_strides': [4, 8, 32],
    }
    head = {'type': 'Shared2FCBBoxHead', 'in_channels': 8, 'roi_feat_size': 3, 'fc_out_channels': 8, 'num_classes': 2}
    detector = {
        'type': 'CascadeRCNN',
        'backbone': {**BACKBONE, 'out_indices': (1, 2, 3)},
        'neck': {'type': 'FPN', **NECKS['FPN']},
        'roi_head': {
            'type': 'CascadeRoIHead',
            'num_stages': 2,
            'stage_loss_weights': [1, 0.5],
            'bbox_roi_extractor': roi,
            'bbox_head': [head, head],
        },
        'train_cfg': Config({'rpn': None, 'rcnn': None}),
        'test_cfg': Config({'rpn': None, 'rcnn': None}),
    }
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(detector)
    with pytest.raises(ValueError, match=r'roi_head\.bbox_roi_extractor\.featmap_strides is \(4, 8, 32\)'):
        check_strides(model)
