"""Distillation: what teaches which layer, the teacher stays out of the student, and the way through the tools."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from mmsterf.versions import missing_for_pretraining

if missing_for_pretraining():
    pytest.skip(f'mmpretrain is optional; not installed: {missing_for_pretraining()}', allow_module_level=True)

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmsterf.errors import InvalidInput

TEACHER = dict(
    type='ImageClassifier',
    backbone=dict(type='LeNet5', num_classes=3),
    head=dict(type='ClsHead'),
    # Nothing is fetched: the checkpoint has it all.
    init_cfg=dict(type='Pretrained', checkpoint='http://localhost:9/never'),
)


def build(checkpoint, num_classes=3, **kwargs) -> torch.nn.Module:
    cfg = dict(
        type='mmsterf.DistilledClassifier',
        backbone=dict(type='mmsterf.MetaSDT', in_channels=1, arch=dict(embed_dims=(8, 8, 8, 8)), out_indices=(4,)),
        head=dict(type='mmsterf.SpikingClsHead', num_classes=num_classes, in_channels=8, distilled=True),
        teacher=TEACHER,
        teacher_checkpoint=str(checkpoint),
        **kwargs,
    )
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg)
        model.init_weights()
    return model


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        teacher = MODELS.build({k: v for k, v in TEACHER.items() if k != 'init_cfg'})
    torch.save(teacher.state_dict(), tmp_path / 'teacher.pth')
    return tmp_path / 'teacher.pth'


def batch(labels=(0, 1, 2, 0)):
    torch.manual_seed(1)
    return torch.randn(len(labels), 1, 32, 32), [DataSample().set_gt_label(label) for label in labels]


def test_labels_and_teacher_have_a_layer_each(weights):
    model = build(weights, alpha=0.25)
    x, samples = batch()
    losses = model(x, samples, mode='loss')
    with torch.no_grad():
        taught = model.teacher(x).argmax(1)
        own, learned = model.head.both_logits(model.extract_feat(x))
    assert losses['loss'].item() == pytest.approx(0.75 * F.cross_entropy(own, torch.tensor([0, 1, 2, 0])).item())
    assert losses['loss_teacher'].item() == pytest.approx(0.25 * F.cross_entropy(learned, taught).item())
    losses['loss_teacher'].backward()
    assert model.head.fc.weight.grad is None and model.head.fc_kd.weight.grad.abs().max() > 0
    assert all(p.grad is None for p in model.teacher.parameters())


def test_soft_targets(weights):
    model = build(weights, distillation='soft', temperature=2.0)
    logits, taught = torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([[0.0, 2.0, 0.0]])
    p, q = (x / 2 for x in (logits, taught))
    wanted = 4 * (q.softmax(1) * (q.log_softmax(1) - p.log_softmax(1))).sum()
    assert model.teacher_loss(logits, taught).item() == pytest.approx(wanted.item(), rel=1e-6)
    assert model.teacher_loss(taught, taught).item() == pytest.approx(0, abs=1e-6)


def test_the_teacher_is_no_part_of_the_student(weights):
    model = build(weights)
    assert not any('teacher' in name for name, _ in [*model.named_modules(), *model.named_parameters()])
    assert not any('teacher' in key for key in model.state_dict())
    model.double().train()
    assert not model.teacher.training and next(model.teacher.parameters()).dtype == torch.float64
    x, samples = batch()
    assert torch.isfinite(model(x.double(), samples, mode='loss')['loss_teacher'])


def test_what_cannot_be_is_said(weights, tmp_path):
    for kwargs, message in (
        (dict(distillation='warm'), "distillation='warm': hard or soft"),
        (dict(alpha=2), 'alpha=2: a number from 0'),
        (dict(temperature=0), 'temperature=0: a number above 0'),
    ):
        with pytest.raises(InvalidInput, match=message):
            build(weights, **kwargs)
    state = torch.load(weights, weights_only=True)
    state.popitem()
    torch.save(state, tmp_path / 'part.pth')
    with pytest.raises(ValueError, match=r'part.pth does not fit the teacher'):
        build(tmp_path / 'part.pth')
    with pytest.raises(InvalidInput, match='the teacher tells 3 classes apart, the student 4'):
        build(weights, num_classes=4)(*batch(), mode='loss')


def test_the_config_names_its_teacher(weights):
    file = Path(__file__).parents[2] / 'configs/imagenet/sdt_mlpixer_base_distilled_in1k.py'
    cfg = {**Config.fromfile(file).model, 'teacher_checkpoint': str(weights)}
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg).eval()
        assert model(torch.randn(1, 3, 64, 64)).shape == (1, 1000)  # without a teacher
        with pytest.raises(ValueError, match='fit the teacher'):
            model.init_weights()
