"""A whole detector whose networks another runtime runs, against PyTorch: outputs and predictions."""

import copy

import pytest
import torch
from mmdet.structures import DetDataSample
from small_models import build, config
from torch import nn

from mmsterf.deploy import compiled, inputs_of, prepared
from mmsterf.deploy.running import difference
from mmsterf.errors import InvalidInput


def batch(size: tuple, number: int) -> dict:
    """Images of one size, as a data loader gives them."""
    meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0), batch_input_shape=size, pad_shape=size)
    images = [torch.randint(0, 255, (3, *size), dtype=torch.uint8) for _ in range(number)]
    return dict(inputs=images, data_samples=[DetDataSample(metainfo=dict(meta, img_id=i)) for i in range(number)])


def test_detector():
    pytest.importorskip('openvino')
    model = build(config('mask_rcnn_sdt_mlpixer_digits'))
    data = batch((64, 96), 2)
    torch.manual_seed(1)
    other = compiled(model, 'openvino', inputs_of(model, data))
    assert list(other.differences) == ['roi_head.bbox_head', 'roi_head.mask_head', 'backbone + neck + rpn_head']
    assert max(other.differences.values()) < 1e-4
    plain = prepared(model)
    for size, number in (((64, 96), 2), ((96, 80), 1)):
        data = batch(size, number)
        inputs = inputs_of(model, data)
        with torch.no_grad():
            maps, found = plain.extract_feat(inputs), other.extract_feat(inputs)
            assert difference(found, maps) < 1e-4
            assert difference(other.rpn_head(found), plain.rpn_head(maps)) < 1e-4
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


def test_a_runtime_that_computes_something_else_is_refused(monkeypatch):
    module = nn.Conv2d(3, 4, 3)
    run = lambda source, backend, precision: lambda x: [-module(torch.from_numpy(x)).detach().numpy()]  # noqa: E731
    monkeypatch.setattr('mmsterf.deploy.running.runtime', run)
    with pytest.raises(InvalidInput, match=r'differs from PyTorch by 2, more than 0\.01'):
        compiled(module, 'torch', torch.randn(1, 3, 16, 16))
