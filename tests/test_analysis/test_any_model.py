"""Models of every kind that mmdet and mmseg have: what of them is analysed, and that nothing is fetched for it."""

import socket
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from mmsterf.analysis.features import default_layers, run_features
from mmsterf.analysis.loading import load_model
from mmsterf.analysis.stock import fill_caches
from mmsterf.engine.config import read_config
from mmsterf.erf import Noise, calibrated, command, ending, st_erf
from mmsterf.errors import InvalidInput

NOISE = Noise(1, (3, 64, 64))


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError('the network was asked for something')

    for name in ('getaddrinfo', 'create_connection'):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, 'connect', refuse)


def fields(model):
    return st_erf(model, NOISE, default_layers(model), forward=run_features, in_front_of_norms=True)


@pytest.mark.parametrize(
    'config, said, prefix',
    [
        ('deepsort/deepsort_faster-rcnn_r50_fpn_8xb2-4e_mot17halftrain_test-mot17halfval', 'its detector', 'detector.'),
        ('soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco', 'its student', 'student.'),
        ('ld/ld_r18-gflv1-r101_fpn_1x_coco', 'the student is analysed, the teacher is not built', ''),
        ('lad/lad_r50-paa-r101_fpn_2xb8_coco_1x', 'the student is analysed, the teacher is not built', ''),
    ],
)
def test_wrapped_models(config, said, prefix, tmp_path, capsys):
    _, model = load_model(f'mmdet::{config}.py', None)
    assert said in capsys.readouterr().out
    found = fields(model)
    assert list(found) == [f'backbone:{i}' for i in range(4)] and all(r.mean.any() for r in found.values())
    assert tuple(model.data_preprocessor.mean.shape) == (3, 1, 1)
    if prefix:
        state = {prefix + k: torch.full_like(v, 2) for k, v in model.state_dict().items()}
        state['teacher.' * (prefix == 'student.') + 'other.weight'] = torch.zeros(1)
        torch.save({'state_dict': state}, tmp_path / 'whole.pth')
        _, model = load_model(f'mmdet::{config}.py', str(tmp_path / 'whole.pth'))
        assert (model.backbone.conv1.weight == 2).all()


def test_nothing_is_loaded_from_outside(tmp_path, monkeypatch):
    from mmseg.models.backbones import timm_backbone

    def create_model(pretrained, checkpoint_path, **kwargs):
        assert not pretrained and not checkpoint_path
        return nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU())

    # timm itself needs torchvision, which is not in every environment
    monkeypatch.setattr(timm_backbone, 'timm', SimpleNamespace(create_model=create_model))
    timm = (
        "dict(type='TIMMBackbone', model_name='resnet10t', "
        "pretrained=True, checkpoint_path='https://example.invalid/t.pth')"
    )
    pvt = (
        "dict(type='mmdet.PyramidVisionTransformerV2', embed_dims=8, num_layers=[1] * 4, "
        "init_cfg=dict(checkpoint='https://example.invalid/pvt.pth'))"
    )
    for kind in (timm, pvt):
        path = tmp_path / 'config.py'
        path.write_text(
            f"default_scope = 'mmseg'\nmodel = dict(type='EncoderDecoder', backbone={kind}, "
            "decode_head=dict(type='FCNHead', in_channels=8, channels=4, num_classes=2), "
            "pretrained='https://example.invalid/whole.pth', test_cfg=dict(mode='whole'))"
        )
        assert all(r.mean.any() for r in fields(load_model(str(path), None)[1]).values())


def test_code_that_wants_weights_is_stopped(tmp_path, monkeypatch):
    path = tmp_path / 'config.py'
    (tmp_path / 'wants_weights.py').write_text(
        'from mmengine.registry import MODELS\nfrom mmengine.runner.checkpoint import _load_checkpoint\n'
        'from torch import nn\n@MODELS.register_module()\nclass WantsWeights(nn.Module):\n    def __init__(self):\n'
        "        super().__init__()\n        _load_checkpoint('https://example.invalid/x.pth')\n"
    )
    path.write_text("custom_imports = dict(imports=['wants_weights'])\nmodel = dict(type='mmengine.WantsWeights')")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(InvalidInput, match=r'x\.pth, which is no file: nothing is downloaded'):
        load_model(str(path), None)


def test_missing_packages_are_named():
    with pytest.raises(InvalidInput, match='needs the package detectron2'):
        load_model('mmdet::misc/d2_retinanet_r50-caffe_fpn_ms-90k_coco.py', None)


@pytest.mark.parametrize(
    ('config', 'said'),
    [
        ('cascade_rpn/cascade-rpn_r50-caffe_fpn_1x_coco.py', "needs 'num_classes', which the config does not give: set "
                                                              'model.rpn_head.num_classes'),
        ('common/ms_3x_coco.py', 'has no `model`: it is a part of other configs; name one of those that build on it'),
        ('sort/faster-rcnn_r50_fpn_8xb2-4e_mot17train_test-mot17train.py', 'mot17halfval.py is one'),
    ],
)  # fmt: skip
def test_stock_configs_that_lack_something(config, said, tmp_path):
    with pytest.raises(SystemExit) as error:
        command.main([f'mmdet::{config}', '--out', str(tmp_path / 'out')])
    assert said in str(error.value)


def test_text_is_encoded_once(capsys):
    class Encoder(nn.Module):
        cache_feature = True

        def __init__(self):
            super().__init__()
            self.cache, self.weight = {}, nn.Parameter(torch.ones(2))

        def forward(self):
            self.cache.setdefault('cat', 2 * self.weight)

    model = nn.Sequential(Encoder(), nn.Sequential(Encoder()))
    for _ in range(2):
        fill_caches(model)
    assert capsys.readouterr().out.count('encodes its classes once') == 2
    assert not model[0].cache['cat'].requires_grad


def test_models_that_need_text_have_features_only(capsys):
    _, model = load_model('mmdet::glip/glip_atss_swin-t_a_fpn_dyhead_pretrain_obj365.py', None)
    assert 'need text and a language model, which is a download' in capsys.readouterr().out
    found = st_erf(model, NOISE, ['backbone:1', 'neck:0'], forward=run_features, in_front_of_norms=True)
    assert [r.grid for r in found.values()] == [(4, 4), (8, 8)]


def test_clip_without_its_checkpoint():
    _, model = load_model('mmseg::san/san-vit-b16_coco-stuff164k-640x640.py', None)
    found = fields(model)
    assert all(name.startswith('image_encoder') for name in found) and all(r.mean.any() for r in found.values())


def test_synchronised_norms_are_calibrated_on_cpu(tmp_path):
    for kind in ('SyncBN', 'MMSyncBN'):
        path = tmp_path / 'config.py'
        path.write_text(
            "default_scope = 'mmseg'\nmodel = dict(type='EncoderDecoder', backbone=dict(type='ResNetV1c', depth=18, "
            f"base_channels=4, norm_cfg=dict(type='{kind}')), decode_head=dict(type='FCNHead', in_channels=32, "
            "channels=4, num_classes=2, in_index=-1), test_cfg=dict(mode='whole'))"
        )
        model = calibrated(load_model(str(path), None)[1], NOISE, forward=run_features)
        assert model.backbone.layer4[-1].norm2.running_var.std() > 0
        assert fields(model)['backbone:3'].mean.any()


class Parts(nn.Module):
    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 3, 1, 1)))
        self.neck = nn.Conv2d(5, 5, 1)  # does not fit: it cannot run
        self.ran = []

    def forward(self, x):
        x = self.backbone[0](x)
        for layer in self.backbone[1]:
            x = layer(x)
        self.ran.append(1)
        return self.neck(x)


def test_what_is_behind_the_last_layer_never_runs():
    model = Parts()
    found = st_erf(model, NOISE, ['backbone', 'backbone.0'])
    assert found['backbone'].grid == (32, 32) and found['backbone.0'].mean.any() and not model.ran
    ending(model, 'backbone.1')(model, NOISE[0][None].float())
    assert not model.ran
    for layers in ('neck', 'nothing*'):
        with pytest.raises(RuntimeError, match='channels'):
            st_erf(model, NOISE, layers)


def test_operators_that_the_device_lacks(capsys):
    from mmsterf.erf.command import list_layers

    _, model = load_model('mmdet::carafe/mask-rcnn_r50_fpn-carafe_1x_coco.py', None)
    assert list(fields(model)) == [f'backbone:{i}' for i in range(4)]
    with pytest.raises(InvalidInput, match='no operator carafe_forward for the device cpu: choose layers in front'):
        st_erf(model, NOISE, 'neck:0', forward=run_features)
    list_layers(model, NOISE, 'auto', time_steps=1, forward=run_features, input_time='image')
    text = capsys.readouterr().out
    assert 'backbone.layer4' in text and 'the rest does not run: mmcv has no operator carafe_forward' in text


TINY = """
default_scope = 'mmseg'
model = dict(
    type='EncoderDecoder',
    backbone=dict(type='ResNetV1c', depth=18, base_channels=4{init}),
    decode_head=dict(type='FCNHead', in_channels=32, channels=4, num_classes=2, in_index=-1),
    test_cfg=dict(mode='whole'),
)
"""


def test_weights_that_a_config_names_are_loaded_if_asked_for(tmp_path):
    path, stem = tmp_path / 'config.py', tmp_path / 'stem.pth'

    def named(init, **how):
        path.write_text(TINY.format(init=init))
        return load_model(str(path), None, **how)[1]

    ones = {k: torch.ones_like(v) for k, v in named('').backbone.state_dict().items()}
    torch.save({'state_dict': ones}, stem)
    init = ", init_cfg=dict(type='Pretrained', checkpoint={!r})"
    model = named(init.format(str(stem)), named=True)
    said = command.weights_of(str(path), None, Namespace(weights='config', seed=3), read_config(str(path)))
    assert said == 'weights that the config names, stem.pth; the rest is random (seed 3)'
    assert (model.backbone.layer1[0].conv1.weight == 1).all() and model.decode_head.conv_seg.weight.std() > 0
    assert not (named(init.format(str(stem))).backbone.layer1[0].conv1.weight == 1).all()
    whole = {k: torch.full_like(v, 2) for k, v in model.state_dict().items()}
    torch.save({'state_dict': whole}, tmp_path / 'whole.pth')
    path.write_text(TINY.format(init='') + f'load_from = {str(tmp_path / "whole.pth")!r}\n')
    assert (load_model(str(path), None, named=True)[1].decode_head.conv_seg.weight == 2).all()
    with pytest.raises(InvalidInput, match=r'config.py names no weights .*: give a checkpoint, or take random ones'):
        named('', named=True)
    for missing in (str(tmp_path / 'no.pth'), 'https://example.invalid/no.pth'):
        with pytest.raises(
            InvalidInput, match=r'weights that the config names, .*no\.pth, cannot be loaded \(.*give a'
        ):
            named(init.format(missing), named=True)


def test_parameters_that_no_code_sets_are_drawn(tmp_path, monkeypatch, capsys):
    (tmp_path / 'leaves_unset.py').write_text(
        'import torch\nfrom mmengine.model import BaseModule\nfrom mmengine.registry import MODELS\n'
        'from torch import nn\n@MODELS.register_module()\nclass LeavesUnset(BaseModule):\n    def __init__(self):\n'
        '        super().__init__()\n        self.place = nn.Parameter(torch.empty(1, 3, 1, 1))\n'
        '        self.conv = nn.Conv2d(3, 2, 3)\n    def forward(self, x):\n'
        '        if x.shape[-1] == 9:\n            raise KeyError("nine")\n        return self.conv(x + self.place)\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    path = tmp_path / 'config.py'
    path.write_text("custom_imports = dict(imports=['leaves_unset'])\nmodel = dict(type='mmengine.LeavesUnset')")
    first, second = (load_model(str(path), None)[1] for _ in range(2))
    assert '1 parameters that the model leaves to a checkpoint are random: place' in capsys.readouterr().out
    assert 0 < first.place.abs().max() < 0.2 and torch.equal(first.place, second.place)
    assert not torch.are_deterministic_algorithms_enabled()
    text = (
        r"LeavesUnset does not run on an input \(1, 3, 9, 9\): KeyError: 'nine' \(leaves_unset.py, line 13\); another"
    )
    with pytest.raises(InvalidInput, match=text):
        run_features(first, torch.zeros(1, 3, 9, 9))


@pytest.mark.parametrize('name', ['metasdt_v2', 'qkformer', 'swin_t', 'pvt_v2_b0', 'vit'])
def test_configs_of_the_documentation(name):
    folder = Path(__file__).parents[2] / 'docs/st_erf_configs'
    cfg, model = load_model(str(folder / f'{name}.py'), None)
    assert set(cfg.get('st_erf_layers', ())) <= {name for name, _ in model.named_modules()}
