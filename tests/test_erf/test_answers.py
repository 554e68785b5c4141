"""Receptive fields of answers, against finite differences of what stock models predict, and spiking ones by hand."""

import numpy as np
import pytest
import torch
from mmcv.ops import nms
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.registry import MODELS, DefaultScope
from torch import nn

import mmsterf.registry  # noqa: F401
from mmsterf.erf.answers import Answer, NoAnswer, answers, parse_target
from mmsterf.errors import InvalidInput

SIZE = (48, 64)


def nms64(boxes, scores, iou_threshold):
    """mmcv's on the CPU takes float32 alone."""
    _, keep = nms(boxes.float(), scores.float(), iou_threshold)
    return torch.cat([boxes[keep], scores[keep, None]], 1), keep


NMS = dict(type=nms64, iou_threshold=0.5)
RESNET = dict(
    type='ResNet', depth=18, base_channels=8, num_stages=3, strides=(1, 2, 2), dilations=(1, 1, 1), out_indices=(1, 2)
)
FPN = dict(type='FPN', in_channels=[16, 32], out_channels=8, num_outs=2)
ANCHORS = dict(type='AnchorGenerator', scales=[4], ratios=[1.0], strides=[8, 16])
SSD_ANCHORS = dict(ANCHORS, scales=[3], ratios=[0.5, 1.0])
CODER = dict(type='DeltaXYWHBBoxCoder', target_means=[0.0] * 4, target_stds=[0.1, 0.1, 0.2, 0.2])
ONE_STAGE = dict(
    type='RetinaNet',
    backbone=RESNET,
    neck=FPN,
    bbox_head=dict(
        type='RetinaHead', num_classes=3, in_channels=8, stacked_convs=1, feat_channels=8, anchor_generator=SSD_ANCHORS,
        bbox_coder=CODER,
    ),
    test_cfg=dict(nms_pre=100, min_bbox_size=0, score_thr=0.0, nms=NMS, max_per_img=20),
)  # fmt: skip
CENTERNESS = dict(
    ONE_STAGE,
    type='FCOS',
    bbox_head=dict(
        type='FCOSHead', num_classes=3, in_channels=8, stacked_convs=1, feat_channels=8, strides=[8, 16],
        regress_ranges=((-1, 64), (64, 1e8)),
        norm_cfg=None,
    ),
)  # fmt: skip
TWO_STAGES = dict(
    type='FasterRCNN',
    backbone=RESNET,
    neck=FPN,
    rpn_head=dict(type='RPNHead', in_channels=8, feat_channels=8, anchor_generator=ANCHORS, bbox_coder=CODER),
    roi_head=dict(
        type='StandardRoIHead',
        bbox_roi_extractor=dict(
            type='SingleRoIExtractor', roi_layer=dict(type='RoIAlign', output_size=3, sampling_ratio=2),
            out_channels=8, featmap_strides=[8, 16],
        ),
        bbox_head=dict(
            type='Shared2FCBBoxHead', in_channels=8, fc_out_channels=16, roi_feat_size=3, num_classes=3,
            bbox_coder=CODER,
        ),
    ),
    train_cfg=None,
    test_cfg=dict(
        rpn=dict(nms_pre=100, max_per_img=30, nms=dict(NMS, iou_threshold=0.7), min_bbox_size=0),
        rcnn=dict(score_thr=0.0, nms=NMS, max_per_img=20, mask_thr_binary=0.5),
    ),
)  # fmt: skip
MASKS = dict(
    mask_roi_extractor=dict(
        TWO_STAGES['roi_head']['bbox_roi_extractor'], roi_layer=dict(type='RoIAlign', output_size=4)
    ),
    mask_head=dict(type='FCNMaskHead', num_convs=1, in_channels=8, conv_out_channels=8, num_classes=3),
)
PANOPTIC = dict(
    TWO_STAGES,
    type='PanopticFPN',
    roi_head={**TWO_STAGES['roi_head'], **MASKS},
    semantic_head=dict(
        type='PanopticFPNHead', num_things_classes=3, num_stuff_classes=2, in_channels=8, inner_channels=8,
        start_level=0, end_level=2, norm_cfg=dict(type='BN'),
    ),
    panoptic_fusion_head=dict(type='HeuristicFusionHead', num_things_classes=3, num_stuff_classes=2),
    test_cfg={**TWO_STAGES['test_cfg'], 'panoptic': {}},
)  # fmt: skip
SSD = dict(
    type='SingleStageDetector',
    backbone=RESNET,
    bbox_head=dict(
        type='SSDHead', in_channels=(16, 32), num_classes=3, bbox_coder=CODER,
        anchor_generator=dict(
            type='SSDAnchorGenerator', strides=[8, 16], ratios=([2], [2]), min_sizes=[10, 20], max_sizes=[20, 40],
            scale_major=False, input_size=64,
        ),
    ),
    test_cfg=ONE_STAGE['test_cfg'],
)  # fmt: skip
QUERIES = dict(
    type='DETR',
    num_queries=5,
    backbone=dict(RESNET, out_indices=(2,)),
    neck=dict(type='ChannelMapper', in_channels=[32], kernel_size=1, out_channels=16, num_outs=1),
    encoder=dict(num_layers=1, layer_cfg=dict(self_attn_cfg=dict(embed_dims=16, num_heads=2),
                                              ffn_cfg=dict(embed_dims=16, feedforward_channels=16))),
    decoder=dict(num_layers=1, layer_cfg=dict(self_attn_cfg=dict(embed_dims=16, num_heads=2),
                                              cross_attn_cfg=dict(embed_dims=16, num_heads=2),
                                              ffn_cfg=dict(embed_dims=16, feedforward_channels=16)),
                 return_intermediate=True),
    positional_encoding=dict(num_feats=8, normalize=True),
    bbox_head=dict(type='DETRHead', num_classes=3, embed_dims=16),
    test_cfg=dict(max_per_img=5),
)  # fmt: skip
SEGMENTOR = dict(
    type='EncoderDecoder',
    backbone=RESNET,
    decode_head=dict(type='FCNHead', in_channels=32, in_index=-1, channels=8, num_convs=1, num_classes=3),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
SLIDING = dict(SEGMENTOR, test_cfg=dict(mode='slide', crop_size=(32, 32), stride=(16, 16)))
LIF = dict(
    type='mmsterf.MetaSDTv2', arch=dict(embed_dims=(8, 8, 16, 16)), time_steps=2, mlp_ratio=1, out_indices=(0, 4)
)
SPIKING = dict(SEGMENTOR, backbone=LIF, decode_head=dict(SEGMENTOR['decode_head'], in_channels=16))


def built(cfg, scope='mmdet'):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(ConfigDict(cfg))
    for name, p in model.named_parameters():
        if p.ndim > 1 and name.rpartition('.')[0].endswith(('cls', 'bbox_head.fc_cls', 'conv_seg', 'conv_cls')):
            nn.init.normal_(p, std=0.5)  # scores that differ
        if name.startswith('rpn_head.rpn_reg') or name.endswith('fc_reg.weight'):
            nn.init.zeros_(p)  # boxes that do not move with the input: those stay where they are in our gradient
    model.eval()
    return model.double()


def image(*shape):
    return torch.randn(*(shape or (3, *SIZE)), generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def detections(model, x):
    sample = DetDataSample(
        metainfo=dict(img_shape=SIZE, ori_shape=SIZE, pad_shape=SIZE, batch_input_shape=SIZE, scale_factor=(1.0, 1.0))
    )
    with torch.no_grad():
        found = model.predict(x[None], [sample], rescale=False)[0].pred_instances
    order = found.scores.argsort(descending=True)
    return found.scores[order], found.labels[order], found.bboxes[order]


def agrees_with_differences(answer: Answer, x, score, step=1e-6, rtol=1e-3):
    """Compare the map with |central differences| of a score, at the largest pixels, some others and those of zero."""
    a = answer.map[0]
    flat = np.argsort(a.ravel())
    picked = [*flat[-3:], flat[len(flat) // 2], flat[0]]
    for row, column in (divmod(int(i), a.shape[1]) for i in picked):
        moves = []
        for colour in range(3):
            by = torch.zeros_like(x)
            by[colour, row, column] = step
            moves.append(abs(float(score(x + by) - score(x - by))) / (2 * step))
        assert np.mean(moves) == pytest.approx(a[row, column], rel=rtol, abs=1e-5 * a.max()), (row, column)
    assert a.max() > 0


@pytest.mark.parametrize(
    'cfg', [ONE_STAGE, CENTERNESS, TWO_STAGES, QUERIES], ids=['one stage', 'centerness', 'two stages', 'queries']
)
def test_scores_of_boxes_move_as_the_map_says(cfg):
    model, x = built(cfg), image()
    scores, labels, boxes = detections(model, x)
    second = int(labels[1])
    best, other, by_class = answers(model, x, ['box:best', 'box:2', f'class:{"abc"[second]}'], classes='abc')
    assert (best.score, best.label) == (pytest.approx(float(scores[0])), 'abc'[int(labels[0])])
    np.testing.assert_allclose(best.box, boxes[0], atol=1e-4)
    assert other.score == pytest.approx(float(scores[2]))
    first = labels.tolist().index(second)
    assert (by_class.score, by_class.label) == (pytest.approx(float(scores[first])), 'abc'[second])
    assert not model.training and all(p.requires_grad and p.grad is None for p in model.parameters() if p.numel() > 64)
    assert not any('predict_by_feat' in vars(m) for m in model.modules()) and torch.is_grad_enabled()
    for index, answer in ((0, best), (2, other)):

        def score(y, index=index):  # the nearest box with the nearest score: both move by next to nothing
            scores_now, labels_now, boxes_now = detections(model, y)
            far = (boxes_now - boxes[index]).abs().sum(1) + (scores_now - scores[index]).abs()
            return scores_now[(far + 100 * (labels_now != labels[index])).argmin()]

        agrees_with_differences(answer, x, score)


@pytest.mark.parametrize(
    'cfg', [dict(TWO_STAGES, type='MaskRCNN', roi_head={**TWO_STAGES['roi_head'], **MASKS}), PANOPTIC],
    ids=['masks', 'panoptic'],
)  # fmt: skip
def test_masks_of_boxes_are_left_out_and_change_nothing(cfg):
    plain, masked = built(TWO_STAGES).float(), built(cfg).float()
    masked.load_state_dict(plain.state_dict(), strict=False)
    ran = []
    masked.roi_head.mask_head.register_forward_hook(lambda *_: ran.append(1))
    maps = [answers(m, image().float(), ['box:BEST'])[0].map for m in (plain, masked)]
    np.testing.assert_array_equal(*maps)
    assert not ran
    if cfg is not PANOPTIC:
        detections(masked, image().float())
        assert ran
    assert not {'predict', 'predict_mask', 'add_pred_to_datasample'} & set().union(*map(vars, masked.modules()))


def test_heads_that_their_own_code_does_not_fit():
    """mmdet 3.3 asks SSD's head for a loss that it does not have whenever it predicts."""
    model, x = built(SSD), image()
    best, other = answers(model, x, ['box:BEST', 'box:1'])
    assert not hasattr(model.bbox_head, 'loss_cls')
    model.bbox_head.loss_cls = None
    scores, labels, boxes = detections(model, x)
    assert (best.score, other.score) == pytest.approx(scores[:2].tolist()) and best.label == str(int(labels[0]))
    np.testing.assert_allclose(best.box, boxes[0], atol=1e-4)
    assert best.map.any()


def test_a_detector_that_is_part_of_another_says_where_its_threshold_is():
    model = built({**ONE_STAGE, 'test_cfg': {**ONE_STAGE['test_cfg'], 'score_thr': 2.0}})
    model.config_key = 'model.detector'  # of trackers, see `load_model`
    with pytest.raises(NoAnswer, match=r'--cfg-options model.detector.test_cfg.score_thr=0 lowers'):
        answers(model, image(), ['box:BEST'])
    nn.init.constant_(model.backbone.layer1[0].conv1.weight, float('inf'))
    model.test_cfg.score_thr = 0.0
    with pytest.raises(NoAnswer, match='its features are not finite, as random weights may make them: give a check'):
        answers(model, image(), ['box:BEST'])


@pytest.mark.parametrize('cfg', [SEGMENTOR, SLIDING], ids=['whole', 'slide'])
def test_logits_of_pixels_and_classes_move_as_the_map_says(cfg):
    model, x = built(cfg, 'mmseg'), image()
    meta = dict(img_shape=SIZE, ori_shape=SIZE, pad_shape=SIZE, padding_size=[0] * 4)

    def logits(y):
        with torch.no_grad():
            return model.inference(y[None], [dict(meta)])[0]

    predicted = logits(x).argmax(0)
    label = int(predicted[5, 60])
    pixel, named, of_class = answers(
        model, x, ['pixel:5,60', 'pixel:40,3,c', f'class:{"abc"[label]}'], classes=('a', 'b', 'c')
    )
    assert (pixel.pixel, pixel.label, named.label) == ((5, 60), 'abc'[label], 'c')
    np.testing.assert_array_equal(of_class.region, predicted == label)
    agrees_with_differences(pixel, x, lambda y: logits(y)[label, 5, 60])
    agrees_with_differences(named, x, lambda y: logits(y)[2, 40, 3])
    agrees_with_differences(of_class, x, lambda y: logits(y)[label][predicted == label].mean())
    inside = of_class.map[0][of_class.region].sum() / of_class.map.sum()
    assert of_class.measure()['inside'] == pytest.approx(inside)


def test_over_time_every_step_has_its_map():
    model, frames = built(SPIKING, 'mmseg').float(), image(2, 3, *SIZE).float()
    for m in model.modules():
        if isinstance(m, nn.BatchNorm2d):
            m.bias.data.fill_(0.5)  # neurons that fire
    (still,) = answers(model, frames[0], ['pixel:20,30,1'], time_steps=2, input_time='sequence')
    (moving,) = answers(model, frames, ['pixel:20,30,1'], time_steps=2)
    for answer, x in ((moving, frames), (still, frames[:1].expand(2, -1, -1, -1))):
        leaf = x.clone()[:, None].requires_grad_()
        logits = nn.functional.interpolate(model.decode_head(model.extract_feat(leaf)), SIZE, mode='bilinear')
        (grad,) = torch.autograd.grad(logits[0, 1, 20, 30], leaf)
        assert answer.map.shape == (2, *SIZE)
        np.testing.assert_allclose(answer.map, grad[:, 0].abs().mean(1), rtol=1e-4, atol=1e-9)
        assert answer.map[0].any() and answer.map[1].any() and not np.array_equal(answer.map[0], answer.map[1])
        assert sum(answer.measure()['by_step']) == pytest.approx(1)


def test_classifiers_and_the_positive_part():
    model = nn.Sequential(nn.Conv2d(3, 2, SIZE), nn.Flatten())
    for signed in (False, True):
        (answer,) = answers(model, image().float(), ['class:1'], signed=signed)
        kernel = model[0].weight[1].detach()
        expected = (kernel.relu() if signed else kernel.abs()).mean(0)
        np.testing.assert_allclose(answer.map[0], expected, rtol=1e-5, atol=1e-8)
        assert np.isnan(answer.measure()['inside'])


@pytest.mark.parametrize(
    ('cfg', 'target', 'kind', 'why'),
    [
        (ONE_STAGE, 'class:d', InvalidInput, r"no class 'd', it has a, b, c \(or an index below 3\)"),
        (ONE_STAGE, 'pixel:1,2', InvalidInput, 'RetinaNet is a detector, .* box:BEST, box:INDEX or class:NAME'),
        (ONE_STAGE, 'box:20', NoAnswer, 'found 20 boxes, numbered from 0'),
        ({**ONE_STAGE, 'test_cfg': {**ONE_STAGE['test_cfg'], 'score_thr': 2.0}}, 'box:BEST', NoAnswer,
         r'found no box \(--cfg-options model.test_cfg.score_thr=0 lowers its threshold of 2.0'),
        ({**ONE_STAGE, 'test_cfg': {**ONE_STAGE['test_cfg'], 'score_thr': 2.0}}, 'class:b', NoAnswer,
         'no box of b, nor any other'),
        (SEGMENTOR, 'box:BEST', InvalidInput, 'EncoderDecoder is a segmentor, .* class:NAME or pixel:ROW,COL'),
        (SEGMENTOR, 'pixel:48,0', InvalidInput, 'has 48 rows and 64 columns'),
        (SEGMENTOR, 'pixel:1,2,d', InvalidInput, "no class 'd'"),
        (RESNET, 'class:0', InvalidInput, 'ResNet is no detector, segmentor or classifier: its outputs'),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_said_in_a_sentence(cfg, target, kind, why):
    with pytest.raises(kind, match=why):
        answers(built(cfg, 'mmseg' if cfg is SEGMENTOR else 'mmdet'), image(), [target], classes='abc')


def test_targets_without_an_answer_are_left_out():
    model = built(SEGMENTOR, 'mmseg')
    nn.init.constant_(model.decode_head.conv_seg.bias[:1], 1e3)
    with pytest.raises(NoAnswer, match='no pixel is predicted as 1, only 0'):
        answers(model, image(), ['class:1'])
    missing = []
    found = answers(model, image(), ['class:1', 'class:0'], missing=missing.append)
    assert [a.target for a in found] == ['class:0'] and len(missing) == 1


@pytest.mark.parametrize('text', ['box', 'box:-1', 'box:first', 'class:', 'pixel:3', 'pixel:a,b', 'layer:x', ''])
def test_targets_are_read(text):
    with pytest.raises(InvalidInput, match='box:BEST, box:INDEX, class:NAME'):
        parse_target(text)
    assert parse_target('box:7').index == 7 and parse_target('BOX:1'.lower()).kind == 'box'
    assert parse_target('pixel:3, 4, traffic light')[2:] == (0, 'traffic light', (3, 4))
