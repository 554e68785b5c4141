"""The spiking Mask R-CNN: parity, strides, parameters, and its parts in stock detectors."""

from pathlib import Path

import mmdet
import pytest
import torch
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.structures import InstanceData
from torch import nn

from mmsterf.checkpoint import convert
from mmsterf.models.strides import check_strides
from mmsterf.registry import MODELS
from mmsterf.snn import ILIF, SpikeConv2d, SpikeConvTranspose2d, SpikeLinear

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'


def config(name: str):
    return Config.fromfile(CONFIGS / f'{name}.py').model


def batch(model, size=(64, 96), num=2):
    """Images with two instances each, through the model's own preprocessor."""
    samples = []
    for _ in range(num):
        masks = torch.zeros(2, *size, dtype=torch.uint8)
        masks[0, 8:40, 8:40], masks[1, 20:60, 40:90] = 1, 1
        boxes = torch.tensor([[8.0, 8, 40, 40], [40, 20, 90, 60]])
        gt = InstanceData(bboxes=boxes, labels=torch.tensor([1, 3]), masks=BitmapMasks(masks.numpy(), *size))
        meta = dict(img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0), img_id=0)
        samples.append(DetDataSample(gt_instances=gt, metainfo=meta))
    inputs = [torch.randint(0, 255, (3, *size), dtype=torch.uint8) for _ in range(num)]
    return model.data_preprocessor(dict(inputs=inputs, data_samples=samples), True)


def total(losses: dict):
    values = [
        v for key, value in losses.items() if 'loss' in key for v in (value if isinstance(value, list) else [value])
    ]
    return sum(values)


def test_parity(golden):
    data = golden('mask_rcnn_srb_tiny_parts')
    cfg = config('mask_rcnn_sdt_srb_tiny')
    # The public neck clips at 1 in evaluation; only its stored values need that.
    cfg.neck.conv_cfg.neuron = dict(type='ILIF', normalize=False, eval_max_count=1)
    model = MODELS.build(cfg).double()
    state, description = convert(data.weights())
    assert (description.model, description.arch, description.mixer) == ('detector', 'tiny', 'SRB')
    model.load_state_dict(state, strict=True)

    def image(offset, shape):  # the leading 1 is the public time axis
        return data.image(data.meta['seed'] + offset, shape)[0]

    maps = [image(i, shape) for i, shape in enumerate(data.meta['neck_inputs'])]
    for mode in ('train', 'eval'):
        getattr(model, mode)()
        for i, out in enumerate(model.neck(maps)):
            assert data.error(f'{mode}/neck.{i}', out) < 1e-5
        scores, deltas = model.rpn_head.forward_single(2 * image(10, (1, 2, 256, 8, 12)))
        classes, boxes = model.roi_head.bbox_head(2 * image(11, (1, 5, 256, 7, 7)))
        masks = model.roi_head.mask_head(2 * image(12, (1, 3, 256, 14, 14)))
        outs = dict(rpn_cls=scores, rpn_reg=deltas, cls_score=classes, bbox_pred=boxes, mask_preds=masks)
        for name, out in outs.items():
            assert data.error(name, out) < 1e-5


PARAMETERS = {
    'conv': (38.738616, 24.924368),
    'mlpixer': (36.310264, 24.316400),
    'mlpixer6': (39.085016, 25.049328),
    'srb': (37.523384, 24.619856),
}


@pytest.mark.parametrize('mixer', PARAMETERS)
def test_parameters(mixer):
    for suffix, expected in zip(('', '_tiny'), PARAMETERS[mixer]):
        with torch.device('meta'):
            model = MODELS.build(config(f'mask_rcnn_sdt_{mixer}{suffix}'))
        assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(expected, abs=5e-7)


def test_recipe():
    cfg = Config.fromfile(CONFIGS / 'mask_rcnn_sdt_mlpixer.py')
    optimizer = cfg.optim_wrapper.optimizer
    assert (optimizer.type, optimizer.lr, optimizer.weight_decay) == ('AdamW', 2e-4, 0.05)
    assert 'momentum' not in optimizer and 'paramwise_cfg' not in cfg.optim_wrapper  # norms decay too
    assert cfg.train_dataloader.batch_size == 4 and cfg.train_cfg.max_epochs == 12
    assert cfg.model.backbone.mixer.dropout == 0.2 and cfg.auto_scale_lr.base_batch_size == 16  # 4 GPUs
    steps = cfg.train_dataloader.dataset.pipeline
    assert [step.type for step in steps[2:5]] == ['Resize', 'RandomFlip', 'RandomChoice'] and steps[2].scale == (
        853,
        512,
    )
    assert {limit for part in steps[4].transforms for step in part for _, limit in step.get('scales', ())} == {1333}
    warmup, steps = cfg.param_scheduler
    assert (warmup.start_factor, warmup.end, steps.milestones) == (1e-3, 1000, [8, 11])
    resize = next(t for t in cfg.train_dataloader.dataset.pipeline if t.type.endswith('RandomChoice')).transforms
    assert [scale[0] for scale in resize[0][0].scales] == list(range(480, 801, 32))
    assert resize[1][1].crop_size == (384, 600)


def test_trains_and_predicts():
    """Every parameter gets a gradient; all counts are integers 0..4 in both modes; boxes come out."""
    model = MODELS.build(config('mask_rcnn_sdt_mlpixer_digits'))
    model.init_weights()
    seen = {}
    layers = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, (SpikeConv2d, SpikeConvTranspose2d, SpikeLinear)) and not name.startswith('backbone')
    }
    for name, layer in layers.items():
        layer.neuron.register_forward_hook(lambda _, __, out, name=name: seen.setdefault(name, []).append(out.detach()))
    data = batch(model)
    total(model(**data, mode='loss')).backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]
    results = model.eval()(**data, mode='predict')
    assert all(sample.pred_instances.masks.shape[1:] == (64, 96) for sample in results)
    assert seen.keys() == layers.keys()
    for name, outs in seen.items():
        counts = torch.cat([out.flatten() for out in outs])
        assert torch.equal(counts, counts.round()) and counts.min() >= 0 and counts.max() <= 4, name


def test_box_sizes_follow_mmdet():
    """Anchors keep 32 to 512 pixels although the last two maps have the strides of the maps before them."""
    with torch.device('meta'):
        model = MODELS.build(config('mask_rcnn_sdt_mlpixer'))
    generator = model.rpn_head.prior_generator
    assert [stride[0] for stride in generator.strides] == [4, 8, 16, 16, 32]
    sides = [base[1, 2] - base[1, 0] for base in generator.gen_base_anchors()]
    assert [float(side) for side in sides] == [32, 64, 128, 256, 512]


@pytest.mark.parametrize(
    'path, wrong',
    [
        ('rpn_head.anchor_generator.strides', [4, 8, 16, 32, 64]),
        ('roi_head.bbox_roi_extractor.featmap_strides', [4, 8, 16, 32]),
        ('roi_head.mask_roi_extractor.featmap_strides', [4, 8, 16, 32]),
    ],
)
def test_wrong_strides_fail_at_build(path, wrong):
    cfg = Config(dict(model=config('mask_rcnn_sdt_mlpixer_digits')))
    cfg.merge_from_dict({f'model.{path}': wrong})
    with pytest.raises(ValueError) as error:
        MODELS.build(cfg.model)
    assert str(tuple(wrong)) in str(error.value) and '(4, 8, 16, 16, 32)' in str(error.value)
    cfg.model.check_strides = False
    MODELS.build(cfg.model)


def stock(name: str, changes: dict):
    """A base model of the installed mmdet, changed."""
    path = f'{mmdet.__path__[0]}/.mim/configs/_base_/models/{name}.py'
    cfg = Config.fromfile(path)
    cfg.merge_from_dict({f'model.{key}': value for key, value in changes.items()})
    cfg.model._scope_ = 'mmdet'
    return cfg.model


BACKBONE = dict(type='mmsterf.MetaSDT', arch=dict(embed_dims=(16, 32, 64, 96)))


def test_backbone_in_stock_faster_rcnn():
    cfg = stock('faster-rcnn_r50_fpn', {'neck.in_channels': [16, 32, 64, 96]})
    cfg.backbone = BACKBONE
    with pytest.raises(ValueError, match=r'\(4, 8, 16, 32, 64\).*\(4, 8, 16, 16, 32\)'):
        check_strides(MODELS.build(cfg))
    cfg.rpn_head.anchor_generator.strides = [4, 8, 16, 16, 32]
    cfg.roi_head.bbox_roi_extractor.featmap_strides = [4, 8, 16, 16]
    model = MODELS.build(cfg)
    check_strides(model)
    total(model(**batch(model), mode='loss')).backward()
    assert all(p.grad is not None for p in model.backbone.parameters())


def test_backbone_in_stock_retinanet():
    cfg = stock('retinanet_r50_fpn', {'neck.in_channels': [16, 32, 64, 96]})
    cfg.backbone = BACKBONE
    cfg.bbox_head.anchor_generator.strides = [8, 16, 16, 32, 64]
    cfg.type = 'mmsterf.RetinaNet'
    model = MODELS.build(cfg)
    total(model(**batch(model), mode='loss')).backward()
    assert model.backbone.stem.conv.weight.grad.any()
    cfg.bbox_head.anchor_generator.strides = [8, 16, 32, 64, 128]
    with pytest.raises(ValueError, match=r'bbox_head.anchor_generator.strides is \(8, 16, 32, 64, 128\)'):
        MODELS.build(cfg)


def test_spiking_neck_behind_resnet():
    cfg = stock('faster-rcnn_r50_fpn', {'neck.conv_cfg': dict(type='mmsterf.SpikeConv2d'), 'backbone.depth': 18})
    cfg.neck.in_channels = [64, 128, 256, 512]
    cfg.backbone.init_cfg = None
    model = MODELS.build(cfg)
    spiking = [m for m in model.modules() if isinstance(m, SpikeConv2d)]
    assert len(spiking) == 8 and all(isinstance(m.neuron, ILIF) and not m.neuron.normalize for m in spiking)
    plain = stock('faster-rcnn_r50_fpn', {'backbone.depth': 18, 'neck.in_channels': [64, 128, 256, 512]})
    plain.backbone.init_cfg = None
    assert model.state_dict().keys() == MODELS.build(plain).state_dict().keys()
    total(model(**batch(model), mode='loss')).backward()
    assert all(m.weight.grad.any() for m in spiking[:4])


def test_heads_in_stock_mask_rcnn():
    """Each spiking head alone in a detector that is stock otherwise."""
    heads = {
        'rpn_head.type': 'mmsterf.SpikingRPNHead',
        'roi_head.bbox_head.type': 'mmsterf.SpikingShared2FCBBoxHead',
        'roi_head.mask_head.type': 'mmsterf.SpikingFCNMaskHead',
    }
    for key, value in heads.items():
        with torch.device('meta'):
            model = MODELS.build(stock('mask-rcnn_r50_fpn', {key: value, 'backbone.init_cfg': None}))
        neurons = [name for name, m in model.named_modules() if isinstance(m, ILIF)]
        assert neurons and all(name.startswith(key.rpartition('.')[0]) for name in neurons)


def test_rpn_with_more_convolutions_is_refused():
    with pytest.raises(ValueError, match='num_convs must be 1, got 2'):
        MODELS.build(stock('rpn_r50_fpn', {'rpn_head.type': 'mmsterf.SpikingRPNHead', 'rpn_head.num_convs': 2}))


def test_plain_predictors_can_be_spiking():
    cfg = config('mask_rcnn_sdt_mlpixer_digits')
    for name in ('cls_predictor_cfg', 'reg_predictor_cfg'):
        cfg.roi_head.bbox_head[name] = dict(type='mmsterf.SpikeLinear')
    head = MODELS.build(cfg).roi_head.bbox_head
    assert isinstance(head.fc_cls, SpikeLinear) and isinstance(head.fc_reg, nn.Linear)
