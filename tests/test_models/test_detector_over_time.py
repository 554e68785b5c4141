"""The detector with spiking neck and heads over several time steps."""

from pathlib import Path

import pytest
import torch
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.structures import InstanceData

from mmsterf.models.det import SpikingRoIExtractor
from mmsterf.registry import MODELS
from mmsterf.snn import SpikeConv2d

CONFIG = Path(__file__).resolve().parents[2] / 'configs/mask_rcnn_sdt_mlpixer_digits.py'
T = 2
NEURONS = [dict(type='LIF', time_steps=T), dict(type='ILIF', normalize=False, time_steps=T)]


def config(neuron: dict) -> dict:
    """The small detector of the digit scenes on Meta-SDT v2."""
    cfg = Config.fromfile(CONFIG).model
    spiking = dict(type='mmsterf.SpikeConv2d', neuron=neuron)
    cfg.backbone = dict(
        type='mmsterf.MetaSDTv2', arch=dict(embed_dims=(32, 64, 96, 96)), time_steps=T, output='folded',
        out_indices=(1, 2, 3, 4),
    )  # fmt: skip
    cfg.neck.conv_cfg = spiking
    cfg.rpn_head.neuron = neuron
    head = cfg.roi_head
    head.bbox_head.update(neuron=neuron, conv_cfg=spiking)
    head.mask_head.neuron = neuron
    for extractor in (head.bbox_roi_extractor, head.mask_roi_extractor):
        extractor.update(type='mmsterf.SpikingRoIExtractor', time_steps=T)
    return cfg


def batch(model, num: int = 2, size=(128, 128)) -> dict:
    samples = []
    for _ in range(num):
        masks = torch.zeros(2, *size, dtype=torch.uint8)
        masks[0, 8:40, 8:40], masks[1, 20:60, 40:90] = 1, 1
        gt = InstanceData(
            bboxes=torch.tensor([[8.0, 8, 40, 40], [40, 20, 90, 60]]),
            labels=torch.tensor([1, 3]),
            masks=BitmapMasks(masks.numpy(), *size),
        )
        meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0), img_id=0)
        samples.append(DetDataSample(gt_instances=gt, metainfo=meta))
    inputs = [torch.randint(0, 255, (3, *size), dtype=torch.uint8) for _ in range(num)]
    return model.data_preprocessor(dict(inputs=inputs, data_samples=samples), True)


@pytest.mark.parametrize('neuron', NEURONS, ids=['lif', 'ilif'])
def test_training_and_prediction(neuron):
    model = MODELS.build(config(neuron)).train()
    losses = model.loss(*batch(model).values())
    total = sum(sum(v) if isinstance(v, list) else v for k, v in losses.items() if 'loss' in k)
    assert {'loss_rpn_cls', 'loss_cls', 'loss_mask'} <= set(losses) and total.isfinite()
    total.backward()
    for part in (model.neck, model.rpn_head, model.roi_head):
        assert any(p.grad is not None and p.grad.any() for p in part.parameters())
    model.eval()
    data = batch(model, 3)
    with torch.no_grad():
        results = model.predict(*data.values())
        alone = model.predict(data['inputs'][2:], data['data_samples'][2:])
    assert len(results) == 3
    assert torch.allclose(results[2].pred_instances.scores, alone[0].pred_instances.scores, atol=1e-4)


@pytest.mark.parametrize('neuron', NEURONS, ids=['lif', 'ilif'])
def test_a_batch_without_objects_trains(neuron):
    model = MODELS.build(config(neuron)).train()
    data = batch(model)
    for sample in data['data_samples']:
        sample.gt_instances = sample.gt_instances[:0]
    losses = model.loss(*data.values())
    assert losses['loss_mask'] == 0 and losses['loss_cls'].isfinite()


@pytest.mark.parametrize('neuron', NEURONS, ids=['lif', 'ilif'])
def test_outputs_are_those_of_one_image_each(neuron):
    model = MODELS.build(config(neuron)).eval()
    with torch.no_grad():
        maps = model.extract_feat(torch.randn(3, 3, 64, 64))
        assert {len(m) for m in maps} == {3 * T}
        scores, deltas = model.rpn_head(maps)
        assert {len(out) for out in (*scores, *deltas)} == {3}
        head = model.roi_head
        for count in (5, 0):
            rois = torch.tensor([[2.0, 4, 4, 40, 50]]).repeat(count, 1)
            features = head.bbox_roi_extractor(maps[:4], rois)
            assert len(features) == T * count
            assert [len(out) for out in head.bbox_head(features)] == [count, count]
            assert len(head.mask_head(head.mask_roi_extractor(maps[:4], rois))) == count


def test_rois_are_taken_from_every_step():
    arguments = dict(
        roi_layer=dict(type='RoIAlign', output_size=3, sampling_ratio=1), out_channels=4, featmap_strides=[4, 8]
    )
    plain, over_time = SingleRoIExtractor(**arguments), SpikingRoIExtractor(**arguments, time_steps=3)
    maps = [torch.randn(3, 2, 4, 16, 16), torch.randn(3, 2, 4, 8, 8)]
    rois = torch.tensor([[1.0, 3, 4, 30, 40], [0, 10, 10, 60, 50], [1, 0, 0, 63, 63]])
    found = over_time([m.flatten(0, 1) for m in maps], rois).unflatten(0, (3, -1))
    for t in range(3):
        assert torch.equal(found[t], plain([m[t] for m in maps], rois))


@pytest.mark.parametrize(
    'change, name',
    [
        ({'neck.conv_cfg.neuron.time_steps': 1}, r'neck\.lateral_convs\.0\.conv\.neuron \(LIF\)'),
        ({'rpn_head.neuron.time_steps': 4}, r'rpn_head\.rpn_conv\.neuron \(LIF\)'),
        ({'roi_head.mask_roi_extractor.type': 'SingleRoIExtractor'}, r'roi_head\.mask_roi_extractor'),
        ({'rpn_head.type': 'RPNHead'}, r'rpn_head \(RPNHead\) knows no time steps, but the maps have 2'),
        ({'backbone.output': 'rate'}, r'has time_steps=2, but the maps have 1'),
    ],
)
def test_disagreeing_time_steps_are_refused(change, name):
    cfg = Config(dict(model=config(dict(type='LIF', time_steps=T)))).copy()
    cfg.merge_from_dict({f'model.{key}': value for key, value in change.items()})
    if 'RPNHead' in change.values():
        cfg.model.rpn_head.pop('neuron')
    if 'SingleRoIExtractor' in change.values():
        cfg.model.roi_head.mask_roi_extractor.pop('time_steps')
    with pytest.raises(ValueError, match=name):
        MODELS.build(cfg.model)


def test_neurons_are_where_the_config_says():
    model = MODELS.build(config(dict(type='LIF', time_steps=T)))
    layers = [m for part in (model.neck, model.rpn_head, model.roi_head) for m in part.modules()]
    assert {type(m.neuron).__name__ for m in layers if isinstance(m, SpikeConv2d)} == {'LIF'}
