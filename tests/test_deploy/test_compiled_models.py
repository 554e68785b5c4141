"""Whole models whose networks another runtime runs, against PyTorch: outputs and predictions; T = 1 and T > 1."""

import copy
import time
from types import SimpleNamespace

import pytest
import torch
from mmdet.structures import DetDataSample
from mmseg.structures import SegDataSample
from small_models import TIME_STEPS, build, config
from torch import nn

from mmsterf.deploy import compiled, inputs_of, prepared
from mmsterf.deploy.comparing import difference
from mmsterf.deploy.models import _regions
from mmsterf.deploy.running import fastest
from mmsterf.errors import InvalidInput
from mmsterf.versions import missing_for_pretraining


def batch(kind: type, size: tuple, number: int, channels: int = 3) -> dict:
    """Images, or windows of events, of one size, as a data loader gives them."""
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0), batch_input_shape=size, pad_shape=size)
    images = [torch.randint(0, 255, (channels, *size), dtype=torch.uint8) for _ in range(number)]
    return dict(inputs=images, data_samples=[kind(metainfo=dict(meta, img_id=i)) for i in range(number)])


@pytest.mark.parametrize(
    'name, backend, channels',
    [
        ('mask_rcnn_sdt_mlpixer_digits', 'openvino', 3),
        ('mask_rcnn_sdt_mlpixer_digits', 'openvino+nnpack', 3),
        ('mask_rcnn_sdtv2_digits', 'onnxruntime', 2 * TIME_STEPS),  # two polarities of events
    ],
)
def test_detectors(name, backend, channels, monkeypatch, needs):
    needs(backend)
    choose(monkeypatch, 'nnpack')  # with 'openvino+nnpack'
    cfg = config(name)
    if channels != 3:
        kind = 'mmsterf.SequenceDetDataPreprocessor'
        cfg.model.data_preprocessor = dict(type=kind, time_steps=TIME_STEPS, pad_size_divisor=32)
        cfg.model.backbone.in_channels = 2
    model = build(cfg)
    data = batch(DetDataSample, (64, 96), 2, channels)
    torch.manual_seed(1)
    other = compiled(model, backend, inputs_of(model, data))
    heads = ['roi_head.bbox_head', 'roi_head.mask_head']
    networks = [*heads, 'backbone + neck + rpn_head']
    if '+' in backend:
        networks = [f'{head} in nnpack' for head in heads] + ['backbone in openvino', 'neck + rpn_head in nnpack']
    assert list(other.differences) == networks
    assert max(other.differences.values()) < 1e-4
    plain = prepared(model)
    for size, number in (((64, 96), 2), ((96, 80), 1)):
        for _ in range(8):  # until no count of the images lies on an edge
            data = batch(DetDataSample, size, number, channels)
            inputs = inputs_of(model, data)
            with torch.no_grad():
                maps, found = plain.extract_feat(inputs), other.extract_feat(inputs)
                differences = difference(found, maps), difference(other.rpn_head(found), plain.rpn_head(maps))
            if max(differences) < 1e-4:
                break
        assert max(differences) < 1e-4
        with torch.no_grad():
            results = [m.test_step(copy.deepcopy(data)) for m in (plain, other)]
        for a, b in zip(*results):
            a, b = a.pred_instances, b.pred_instances
            assert len(a) == 10 and a.scores.std() > 0 and torch.equal(a.labels, b.labels)
            torch.testing.assert_close(a.bboxes, b.bboxes, rtol=1e-4, atol=1e-2)
            torch.testing.assert_close(a.scores, b.scores, rtol=1e-4, atol=1e-4)
            assert (a.masks == b.masks).float().mean() > 0.999
    with torch.no_grad():  # no regions at all
        empty = torch.zeros(0, 64, 7, 7)
        assert [len(out) for out in other.roi_head.bbox_head(empty)] == [0, 0]
    assert model.backbone is not other.backbone and model.training is False


def test_segmentor():
    pytest.importorskip('openvino')
    model = build(config('semantic_fpn_sdtv2_digits'))
    data = batch(SegDataSample, (80, 80), 2)
    other, plain = compiled(model, 'openvino', inputs_of(model, data)), prepared(model)
    assert list(other.differences) == ['backbone + neck + decode_head'] and other.differences.popitem()[1] < 1e-4
    with pytest.raises(InvalidInput, match='maps of a compiled segmentor stay in the runtime'):
        list(other.extract_feat(inputs_of(model, data)))
    for number in (2, 1):
        data = batch(SegDataSample, (80, 80), number)
        with torch.no_grad():
            results = [m.test_step(copy.deepcopy(data)) for m in (plain, other)]
        for a, b in zip(*results):
            torch.testing.assert_close(a.seg_logits.data, b.seg_logits.data, rtol=1e-4, atol=1e-4)
            assert len(a.pred_sem_seg.data.unique()) > 2
            assert (a.pred_sem_seg.data == b.pred_sem_seg.data).float().mean() > 0.999


@pytest.mark.skipif(bool(missing_for_pretraining()), reason='mmpretrain is not installed')
def test_classifier():
    pytest.importorskip('openvino')
    from mmpretrain.structures import DataSample

    model = build(config('imagenet/sdtv2_15m_in1k'))
    nn.init.normal_(model.head.fc.weight)
    images = torch.randint(0, 255, (2, 3, 64, 64))
    inputs = inputs_of(model, dict(inputs=images, data_samples=[DataSample(), DataSample()]))
    other, plain = compiled(model, 'openvino', inputs), prepared(model)
    assert list(other.differences) == ['backbone + head']
    for number in (2, 3):
        data = dict(inputs=torch.randint(0, 255, (number, 3, 64, 64)))
        data['data_samples'] = [DataSample() for _ in range(number)]
        with torch.no_grad():
            results = [m.test_step(copy.deepcopy(data)) for m in (plain, other)]
        for a, b in zip(*results):
            assert a.pred_score.std() > 0
            torch.testing.assert_close(a.pred_score, b.pred_score, rtol=1e-4, atol=1e-5)


def choose(monkeypatch, backend: str) -> list:
    """Let a backend be the fastest; returns what it is asked about: names, and numbers of images or regions."""
    asked = []

    def fastest(runs, example):
        asked.append((sorted(runs), len(example)))
        return backend if backend in runs else list(runs)[backend == 'nnpack' and len(runs) > 1]

    monkeypatch.setattr('mmsterf.deploy.models.fastest', fastest)
    return asked


def test_each_network_runs_where_it_is_fastest(monkeypatch):
    pytest.importorskip('openvino')
    asked = choose(monkeypatch, 'openvino')
    model = build(config('mask_rcnn_sdt_mlpixer_digits'))
    inputs = inputs_of(model, batch(DetDataSample, (64, 96), 1))
    other, plain = compiled(model, 'openvino+nnpack', inputs), prepared(model)
    assert [number for _, number in asked] == [model.test_cfg.rpn.max_per_img, model.test_cfg.rcnn.max_per_img, 1]
    assert asked[0][0] == ['nnpack', 'openvino']
    names = ['roi_head.bbox_head', 'roi_head.mask_head', 'backbone + neck + rpn_head']
    assert list(other.differences) == [f'{name} in openvino' for name in names]
    with torch.no_grad():
        maps, found = plain.extract_feat(inputs), other.extract_feat(inputs)
        assert difference(found, maps) < 1e-4 and difference(other.rpn_head(found), plain.rpn_head(maps)) < 1e-4
    # RoIAlign reads all channels of a pixel.
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in found)


def test_regions_that_heads_are_timed_with():
    limits = SimpleNamespace(test_cfg=dict(rpn=dict(max_per_img=300), rcnn=dict(max_per_img=-1)))
    assert [_regions(limits, f'roi_head.{name}_head.1') for name in ('bbox', 'mask')] == [300, 100]
    assert _regions(SimpleNamespace(test_cfg=None), 'roi_head.bbox_head') == 100


def test_the_fastest_is_the_one_that_takes_least():
    slow, quick = (lambda x, seconds=seconds: time.sleep(seconds) for seconds in (0.05, 0.0))
    for runs in ({'slow': slow, 'quick': quick}, {'quick': quick, 'slow': slow}):
        assert fastest(runs, torch.zeros(1)) == 'quick'
    assert fastest({'only': None}, torch.zeros(1)) == 'only'


def test_a_runtime_that_computes_something_else_is_refused(monkeypatch):
    module = nn.Conv2d(3, 4, 3)
    run = lambda source, backend, precision: lambda x: [-module(torch.from_numpy(x)).detach().numpy()]  # noqa: E731
    monkeypatch.setattr('mmsterf.deploy.runtimes.runtime', run)
    with pytest.raises(InvalidInput, match=r'differs from PyTorch by 2, more than 0\.01'):
        compiled(module, 'torch', torch.randn(1, 3, 16, 16))
