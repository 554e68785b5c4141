"""Classification with mmpretrain: the spiking head, its configs, and the way through the tools to a detector."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mmsterf.versions import missing_for_pretraining

if missing_for_pretraining():
    pytest.skip(f'mmpretrain is optional; not installed: {missing_for_pretraining()}', allow_module_level=True)

from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpretrain.registry import MODELS
from mmpretrain.structures import DataSample

from mmsterf.analysis.features import default_layers, run_features
from mmsterf.analysis.loading import load_model
from mmsterf.checkpoint import convert, read, to_published
from mmsterf.checkpoint.loading import load_pretrained
from mmsterf.engine import cli
from mmsterf.engine.config import load_config
from mmsterf.erf import Noise, st_erf
from mmsterf.errors import InvalidInput
from mmsterf.models import MetaSDT
from mmsterf.registry import MODELS as OURS

ROOT = Path(__file__).parents[2]
DIMS = (16, 32, 64, 96)


def classifier(dims=DIMS, num_classes=10, **head) -> torch.nn.Module:
    cfg = dict(
        type='ImageClassifier',
        backbone=dict(type='mmsterf.MetaSDT', arch=dict(embed_dims=dims), out_indices=(4,)),
        head=dict(type='mmsterf.SpikingClsHead', num_classes=num_classes, in_channels=dims[-1], **head),
    )
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return MODELS.build(cfg)


def test_parity(golden):
    data = golden('classifier_conv')
    state, found = convert(data.weights())
    assert found.model == 'classifier' and {'head.fc.weight', 'backbone.stem.conv.weight'} <= set(state)
    model = classifier().double()
    model.load_state_dict(state, strict=True)
    feats = model.eval().extract_feat(data.input())
    assert data.error('eval/pooled', feats[-1].mean((2, 3))) < 1e-5
    assert data.error('eval/logits', model(data.input())) < 1e-5
    labels = [DataSample().set_gt_label(label) for label in data.meta['labels']]
    loss = model.train()(data.input(), labels, mode='loss')['loss']
    assert loss.item() == pytest.approx(float(data.arrays['train/loss']), rel=1e-6)
    loss.backward()
    grads = to_published({name: p.grad for name, p in model.named_parameters()})
    for name, value in zip(data.meta['params'], data.arrays['train/grad_l2']):
        assert grads[name].norm().item() == pytest.approx(value, rel=1e-6, abs=1e-12), name
    back = to_published(state)
    assert back.keys() == data.weights().keys()
    assert all(torch.equal(back[key], value) for key, value in data.weights().items())


def test_logits_are_averaged_over_time_and_heads():
    head = classifier(neuron=dict(type='LIF', time_steps=2), distilled=True).head
    x = torch.randn(2 * 3, 96, 2, 2) + 1
    spikes = head.neuron(x.mean((2, 3)))
    assert torch.allclose(head((x,)), ((head.fc(spikes) + head.fc_kd(spikes)) / 2).unflatten(0, (2, 3)).mean(0))


@pytest.mark.parametrize('file', sorted((ROOT / 'configs/imagenet').glob('*[!d]_in1k.py')), ids=lambda file: file.stem)
def test_configs_build_and_give_logits(file):
    cfg = Config.fromfile(file)
    with DefaultScope.overwrite_default_scope('mmpretrain'), torch.device('meta'):
        model = MODELS.build(cfg.model)
    millions = sum(p.numel() for p in model.parameters()) / 1e6
    assert model.backbone.out_channels[-1] == cfg.model.head.in_channels
    assert 2 < millions < 70


CONFIG = """
_base_ = ['{root}/configs/imagenet/sdt_conv_nano_in1k.py']
model = dict(
    backbone=dict(arch=dict(_delete_=True, embed_dims=(8, 8, 16, 16)), mlp_ratio=1),
    head=dict(num_classes=2, in_channels=16),
)
data_root = '{data}'
pipeline = [dict(type='LoadImageFromFile'), dict(type='RandomFlip', prob=0.5), dict(type='PackInputs')]
dataset = dict(_delete_=True, type='CustomDataset', data_root=data_root, data_prefix='train', pipeline=pipeline)
loader = dict(batch_size=4, num_workers=0, persistent_workers=False)
train_dataloader = dict(dataset=dataset, **loader)
val_dataloader = dict(dataset=dict(test_mode=True, **dataset), **loader)
test_dataloader = val_dataloader
val_evaluator = dict(_delete_=True, type='Accuracy', topk=1)
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=2)
param_scheduler = []
randomness = dict(seed=1)
default_hooks = dict(logger=dict(interval=1))
custom_hooks = [dict(type='mmsterf.FiringRateHook', interval=1)]
"""


@pytest.fixture
def task(tmp_path, monkeypatch):
    import cv2

    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    rng = np.random.default_rng(0)
    for name, value in (('dark', 10), ('light', 240)):
        (tmp_path / 'data/train' / name).mkdir(parents=True)
        for i in range(4):
            image = np.clip(rng.normal(value, 20, (32, 32, 3)), 0, 255).astype(np.uint8)
            cv2.imwrite(str(tmp_path / f'data/train/{name}/{i}.png'), image)
    config = tmp_path / 'tiny.py'
    config.write_text(CONFIG.format(root=ROOT, data=tmp_path / 'data'))
    return config


def test_through_the_tools_into_a_detector(task, tmp_path):
    torch.set_num_threads(1)
    work = tmp_path / 'work'
    cli.train([str(task), '--work-dir', str(work)])
    cli.train([str(task), '--work-dir', str(tmp_path / 'half'), '--cfg-options', 'train_cfg.max_epochs=1'])
    cli.train([str(task), '--work-dir', str(tmp_path / 'half'), '--resume'])
    whole, resumed = (read(str(folder / 'epoch_2.pth'))['state_dict'] for folder in (work, tmp_path / 'half'))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    plain = cli.test([str(task), str(work / 'epoch_2.pth'), '--work-dir', str(work)])
    folded = cli.test([str(task), str(work / 'epoch_2.pth'), '--work-dir', str(work), '--fold', '--spike-driven'])
    assert plain == folded and 'accuracy/top1' in plain
    _, model = load_model(str(task), str(work / 'epoch_2.pth'))  # as get_energy.py and st_erf.py do
    assert default_layers(model) == ['backbone:*']
    results = st_erf(model, Noise(1, (3, 32, 32)), default_layers(model), forward=run_features)
    assert all(result.mean.any() for result in results.values())
    backbone = MetaSDT(dict(embed_dims=(8, 8, 16, 16)), mlp_ratio=1, out_indices=range(5))
    load_pretrained(backbone, str(work / 'epoch_2.pth'), 'backbone.')
    assert all(torch.equal(value, whole[f'backbone.{key}']) for key, value in backbone.state_dict().items())
    for name, channels in (('mask_rcnn_sdt_conv_tiny', [8, 8, 16, 16]), ('semantic_fpn_sdt_conv_tiny', [4, 8, 8, 16])):
        starts_from(str(work / 'epoch_2.pth'), whole, name, channels, arch=dict(embed_dims=(8, 8, 16, 16)), mlp_ratio=1)
        with pytest.raises(ValueError, match=r'does not fit MetaSDT\s+wrong shape \(426\)'):
            starts_from(str(work / 'epoch_2.pth'), whole, name, channels, arch='nano', mlp_ratio=1)


def tool(name: str):
    """A tool of tools/analysis_tools, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f'tools/analysis_tools/{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_energy_and_receptive_fields_by_the_tools(task, tmp_path):
    get_energy, st_erf_tool = tool('get_energy'), tool('st_erf')
    get_energy.main(
        [str(task), '--input', 'dataset', '--num', '1', '--calibrate', '4', '--out', str(tmp_path / 'energy')]
    )
    found = json.loads((tmp_path / 'energy/energy.json').read_text())
    layers = {row['layer']: row for row in found['layers']}
    fc = layers['head.fc']  # one vector of 16 counts, and 2 classes
    assert fc['ann_macs'] == 16 * 2 and fc['macs'] == 0
    assert fc['acs'] == pytest.approx(fc['firing_rate'] * 4 * 16 * 2) and fc['acs'] > 0
    neurons = {row['neuron'] for row in found['neurons']}
    assert 'head.neuron' in neurons and any(name.startswith('backbone.stage4') for name in neurons)
    model = load_model(str(task), None)[1]
    assert found['params'] == sum(p.numel() for p in model.parameters())
    common = ['--input', 'dataset', '--num', '1', '--calibrate', '1']
    for file, what in (('maps', ['--layers', 'backbone.stage4']), ('answers', ['--target', 'class:0'])):
        st_erf_tool.main([str(task), *common, *what, '--out', str(tmp_path / file)])
        with np.load(tmp_path / file / f'{file}.npz') as arrays:
            maps = [arrays[key] for key in arrays if key[:4] != 'sem/' and arrays[key].shape[-2:] == (32, 32)]
        assert maps and all(np.isfinite(found).all() and found.any() for found in maps), file


def starts_from(checkpoint: str, state: dict, config: str, channels: list, **backbone) -> torch.nn.Module:
    """The detector or segmentor of a config, its backbone changed, which starts from a classifier: all of it."""
    cfg = Config.fromfile(ROOT / f'configs/{config}.py')
    start = dict(type='Pretrained', checkpoint=checkpoint, prefix='backbone.')
    cfg.model['backbone'] = {**cfg.model.backbone, **backbone, 'init_cfg': start}  # update() would merge `arch`
    cfg.model.neck.update(in_channels=channels)
    task = cfg.default_scope
    registry = pytest.importorskip(f'{task}.registry').MODELS
    pytest.importorskip(f'{task}.models')
    with DefaultScope.overwrite_default_scope(task):
        model = registry.build(cfg.model)
        model.init_weights()
    own = model.backbone.state_dict()
    assert own and all(torch.equal(value, state[f'backbone.{key}']) for key, value in own.items())
    return model


@pytest.mark.parametrize(
    ('backbone', 'detector', 'segmentor'),
    [
        (
            dict(type='mmsterf.MetaSDT', arch='nano', mixer=dict(type='MLPixer'), mlp_ratio=6),
            ('mask_rcnn_sdt_mlpixer6_tiny', [24, 48, 96, 128]),
            ('semantic_fpn_sdt_mlpixer6_tiny', [12, 24, 48, 128]),
        ),
        (
            dict(type='mmsterf.MetaSDTv2', arch=dict(embed_dims=(16, 16, 32, 32)), time_steps=4, output='folded'),
            ('mask_rcnn_sdtv2_digits', [16, 16, 32, 32]),
            ('semantic_fpn_sdtv2_digits', [8, 16, 16, 32]),
        ),
    ],
    ids=['MLPixer e6 nano', 'v2 at T 4'],
)
def test_other_sizes_and_backbones_over_time_go_in_as_well(backbone, detector, segmentor, tmp_path):
    pretrained = OURS.build(dict(**backbone, out_indices=(4,)))
    state = {
        f'backbone.{key}': torch.rand_like(value) if value.is_floating_point() else value + 3
        for key, value in pretrained.state_dict().items()
    }
    torch.save({'state_dict': {**state, 'head.fc.weight': torch.ones(2)}}, tmp_path / 'classifier.pth')
    for config, channels in (detector, segmentor):
        model = starts_from(str(tmp_path / 'classifier.pth'), state, config, channels, **backbone)
        assert model.backbone.time_steps == pretrained.time_steps


@pytest.mark.parametrize(
    ('classifier', 'demo'),
    [
        ('sdt_mlpixer_digits', 'mask_rcnn_sdt_mlpixer_digits'),
        ('sdt_mlpixer_digits_seg', 'semantic_fpn_sdt_mlpixer_digits'),
    ],
)
def test_the_demos_start_from_their_pretraining(classifier, demo, tmp_path):
    cfg = Config.fromfile(ROOT / f'configs/imagenet/{classifier}.py')
    state = {f'backbone.{key}': value for key, value in OURS.build(cfg.model.backbone).state_dict().items()}
    torch.save({'state_dict': state}, tmp_path / 'classifier.pth')
    channels = Config.fromfile(ROOT / f'configs/{demo}.py').model.neck.in_channels
    assert starts_from(str(tmp_path / 'classifier.pth'), state, demo, channels).backbone.out_channels == tuple(channels)


def test_missing_data_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv('MMSTERF_IMAGENET_ROOT', str(tmp_path / 'nowhere'))
    from mmsterf.engine.data import check_data

    cfg = load_config(str(ROOT / 'configs/imagenet/sdt_conv_nano_in1k.py'))
    with pytest.raises((FileNotFoundError, InvalidInput), match='MMSTERF_IMAGENET_ROOT') as error:
        check_data(cfg, ('train', 'val'))
    assert str(tmp_path / 'nowhere/train') in str(error.value)
