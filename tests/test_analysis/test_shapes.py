"""Channels, size and time steps come from model and config, for st_erf.py, get_energy.py and STERFHook alike."""

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from torch import nn

from mmsterf.analysis.loading import load_model
from mmsterf.analysis.shapes import input_shape, sizes_of
from mmsterf.engine.config import read_config
from mmsterf.erf.command import main as st_erf_main
from mmsterf.erf.shapes import time_steps_of
from mmsterf.hooks import STERFHook

ROOT = Path(__file__).parents[2]
SEGMENTOR = """
default_scope = 'mmseg'
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', mean=[127.0] * {means}, std=[60.0] * {means}, bgr_to_rgb=True),
    backbone=dict({backbone}),
    decode_head=dict(
        type='FCNHead', in_channels={width}, in_index=-1, channels=4, num_convs=1, num_classes=3, concat_input=False
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
test_dataloader = dict(dataset=dict(type='BaseSegDataset', pipeline=[
    dict(type='LoadImageFromFile'), dict(type='Resize', scale=(96, 48), keep_ratio=True), dict(type='PackSegInputs'),
]))
"""
RESNET = (
    "type='ResNetV1c', depth=18, base_channels=4, num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1), "
    'in_channels={}'
)
BEIT = (
    "type='BEiT', img_size=(32, 48), patch_size=16, embed_dims=16, num_layers=1, num_heads=2, mlp_ratio=1, "
    'out_indices=(0,), qv_bias=True, init_values=0.1'
)
spec = importlib.util.spec_from_file_location('get_energy', ROOT / 'tools/analysis_tools/get_energy.py')
get_energy = importlib.util.module_from_spec(spec)
spec.loader.exec_module(get_energy)


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch):
    monkeypatch.setattr('mmsterf.erf.plots.save', lambda *_: None)


def write(folder, backbone, width=8, means=3) -> str:
    path = folder / 'config.py'
    path.write_text(SEGMENTOR.format(backbone=backbone, width=width, means=means))
    return str(path)


def st_erf(folder, *args) -> dict:
    st_erf_main([*map(str, args), '--num', '1', '--out', str(folder / 'out')])
    maps = np.load(folder / 'out' / 'maps.npz')
    return {key.partition('/')[2]: maps[key] for key in maps if key.startswith('mean/')}


def hooked(config, **options) -> dict:
    cfg, model = load_model(config, None)
    return STERFHook(**options)._analyse(SimpleNamespace(model=model, cfg=cfg), 1)


@pytest.mark.parametrize(('channels', 'means'), [(1, 3), (1, 1), (4, 3)])
def test_channels_that_are_not_three(tmp_path, capsys, channels, means):
    config = write(tmp_path, RESNET.format(channels), means=means)
    maps = st_erf(tmp_path, config, '--size', 32, 48)
    assert all(m.shape == (1, 32, 48) and m.any() for m in maps.values()) and len(maps) == 2
    found = hooked(config, size=(32, 48), num=1)
    assert all(r.channels == channels and r.mean.shape == (1, 32, 48) and r.mean.any() for r in found.values())
    get_energy.main([config, '--size', '48', '96', '--out', str(tmp_path / 'energy')])
    layers = json.loads((tmp_path / 'energy/energy.json').read_text())['layers']
    # 3 x 3, stride 2, padding 1: outputs at 0, 2, ...; taps inside by row and by column
    rows, columns = (sum(min(i + 2, n) - max(i - 1, 0) for i in range(0, n, 2)) for n in (48, 96))
    assert layers[0]['macs'] == rows * columns * channels * 32
    assert 'silent' not in capsys.readouterr().out  # it has no neurons


def test_images_with_other_channels_are_refused_in_a_sentence(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), np.zeros((32, 48, 3), np.uint8))
    config = write(tmp_path, RESNET.format(4))
    with pytest.raises(SystemExit, match=r'images have 3 channels .* EncoderDecoder takes 4: .*noise is made'):
        st_erf(tmp_path, config, '--input', tmp_path / 'a.png')
    with pytest.raises(SystemExit, match=r'images have 3 channels, and the EncoderDecoder takes 4: use --input noise'):
        get_energy.main([config, '--input', str(tmp_path / 'a.png'), '--out', str(tmp_path / 'energy')])


def test_a_model_of_one_size(tmp_path):
    config = write(tmp_path, BEIT, width=16)
    assert [m.shape for m in st_erf(tmp_path, config).values()] == [(1, 32, 48)]
    assert [r.mean.shape for r in hooked(config, num=1).values()] == [(1, 32, 48)]
    text = r'EncoderDecoder cannot take inputs of 64 x 64 \(.*\); a size that works is 32 x 48'
    with pytest.raises(SystemExit, match=text):
        st_erf(tmp_path, config, '--size', 64, 64)
    with pytest.raises(ValueError, match=text):
        hooked(config, size=(64, 64))
    with pytest.raises(SystemExit, match=text):
        get_energy.main([config, '--size', '64', '64', '--out', str(tmp_path / 'energy')])


def test_a_backbone_alone_of_one_size(tmp_path):
    (tmp_path / 'config.py').write_text(f"default_scope = 'mmseg'\nmodel = dict({BEIT}, in_channels=2)\n")
    get_energy.main([str(tmp_path / 'config.py'), '--out', str(tmp_path / 'energy')])
    layers = json.loads((tmp_path / 'energy/energy.json').read_text())['layers']
    assert layers[0]['macs'] == 2 * 3 * 16 * 2 * 16 * 16  # 2 x 3 patches, 16 wide, of 2 channels and 16 x 16 pixels


def test_sizes_of_stock_configs():
    none = nn.Identity()
    assert sizes_of(read_config('mmdet::ssd/ssd300_coco.py'), none)[0] == (300, 300)
    assert (800, 1344) in sizes_of(read_config('mmdet::retinanet/retinanet_r18_fpn_1x_coco.py'), none)
    beit = sizes_of(read_config('mmseg::beit/beit-large_upernet_8xb1-amp-160k_ade20k-640x640.py'), none)
    assert (640, 640) in beit
    assert sizes_of(None, none) == []
    padded = Config(dict(model=dict(data_preprocessor=dict(size=(30, 40), pad_size_divisor=32))))
    assert sizes_of(padded, none) == [(32, 64)]


class Stepping(nn.Module):
    def __init__(self, time_steps):
        super().__init__()
        self.time_steps, self.conv = time_steps, nn.Conv2d(2, 3, 1)

    def forward(self, x):
        return self.conv(x.flatten(0, 1)).unflatten(0, x.shape[:2])


def test_time_steps_come_from_the_part_that_has_them():
    model = nn.Sequential(nn.Identity(), Stepping(5))
    assert time_steps_of(model) == 5
    shape = input_shape(None, model, lambda m, x: m(x))
    assert shape == (2, (224, 224), 5, 'sequence') and shape.sample == (5, 2, 224, 224)
    assert input_shape(None, nn.Conv2d(1, 1, 1), lambda m, x: m(x), size=(5, 6)).sample == (1, 5, 6)
    assert input_shape(None, model, lambda m, x: m(x), sample=torch.zeros(5, 2, 8, 9)).size == (8, 9)
