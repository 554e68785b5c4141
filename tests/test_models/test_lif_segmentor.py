"""FPN_SNN and FPNHead_SNN: published-style checkpoints, against a reference by the published names in plain torch."""

import copy
from collections import OrderedDict
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import load_checkpoint
from test_seg_models import samples

from mmsterf.checkpoint import convert, to_published

ROOT = Path(__file__).parents[2]
DIMS, WIDTH, CHANNELS, CLASSES = (16, 32, 64, 96), 24, 16, 11
LEVELS = (8, 16, 32, 96)


def lif(x: torch.Tensor, time_steps: int) -> torch.Tensor:
    """tau 2, threshold 1, hard reset to 0, of a folded map."""
    v, spikes = 0.0, []
    for step in x.chunk(time_steps):
        v = v + (step - v) / 2
        spikes.append((v >= 1).to(x))
        v = v * (1 - spikes[-1])
    return torch.cat(spikes)


def layer(state: dict, name: str, x: torch.Tensor, padding: int) -> torch.Tensor:
    """Convolution, and norm if there is one, of a published layer."""
    x = F.conv2d(x, state[f'{name}.1.0.conv.weight'], state.get(f'{name}.1.0.conv.bias'), padding=padding)
    norm = [state.get(f'{name}.1.0.bn.{leaf}') for leaf in ('running_mean', 'running_var', 'weight', 'bias')]
    return x if norm[0] is None else F.batch_norm(x, *norm)


def reference(state: dict, maps: list, time_steps: int = 1) -> tuple:
    """Pyramid and logits of the published neck and head."""
    tops = [layer(state, f'neck.lateral_convs.{i}', lif(x, time_steps), 0) for i, x in enumerate(maps)]
    for i in (3, 2, 1):
        tops[i - 1] = tops[i - 1] + F.interpolate(tops[i], size=tops[i - 1].shape[2:], mode='nearest')
    pyramid = [layer(state, f'neck.fpn_convs.{i}', lif(x, time_steps), 1) for i, x in enumerate(tops)]
    total = 0
    for i, x in enumerate(pyramid):
        for j in range(max(i, 1)):
            x = layer(state, f'decode_head.scale_heads.{i}.{j}', lif(x, time_steps), 1)
            x = F.interpolate(x, scale_factor=2, mode='bilinear') if i else x
        total = total + F.interpolate(x, size=pyramid[0].shape[2:], mode='bilinear')
    seg = [state[f'decode_head.conv_seg.{leaf}'] for leaf in ('weight', 'bias')]
    return pyramid, F.conv2d(lif(total, time_steps), *seg).unflatten(0, (time_steps, -1)).mean(0)


def published(norm: bool) -> OrderedDict:
    """Neck and head by their published names, with weights that let neurons fire."""
    state = OrderedDict()

    def conv(name: str, *shape: int, bias: bool) -> None:
        state[f'{name}.weight'] = torch.randn(shape).double() * 3 / (shape[1] * shape[2] * shape[3]) ** 0.5
        if bias:
            state[f'{name}.bias'] = torch.rand(shape[0]).double() * 2

    def bn(name: str, channels: int) -> None:
        for leaf, low in (('weight', 1.0), ('bias', 0.5), ('running_mean', 0.0), ('running_var', 0.5)):
            state[f'{name}.{leaf}'] = low + torch.rand(channels).double()
        state[f'{name}.num_batches_tracked'] = torch.tensor(3)

    for i, inputs in enumerate(LEVELS):
        for kind, *shape in (('lateral', WIDTH, inputs, 1, 1), ('fpn', WIDTH, WIDTH, 3, 3)):
            conv(f'neck.{kind}_convs.{i}.1.0.conv', *shape, bias=not norm)
            if norm:
                bn(f'neck.{kind}_convs.{i}.1.0.bn', WIDTH)
    for i in range(4):
        for j in range(max(i, 1)):
            name = f'decode_head.scale_heads.{i}.{j}.1.0'
            conv(f'{name}.conv', CHANNELS, CHANNELS if j else WIDTH, 3, 3, bias=False)
            bn(f'{name}.bn', CHANNELS)
    conv('decode_head.conv_seg', CLASSES, CHANNELS, 1, 1, bias=True)
    return state


def segmentor(norm: bool) -> torch.nn.Module:
    # mmengine reads mmseg's model zoo for each base otherwise.
    with patch('mmengine.config.config._get_external_cfg_path', side_effect=ValueError):
        cfg = Config.fromfile(ROOT / 'configs/published/semantic_fpn_sdtv2_15m.py').model
    cfg.backbone.arch = dict(embed_dims=DIMS)
    cfg.neck.update(in_channels=list(LEVELS), out_channels=WIDTH, norm_cfg=dict(type='BN') if norm else None)
    cfg.decode_head.update(in_channels=[WIDTH] * 4, channels=CHANNELS, num_classes=CLASSES)
    with DefaultScope.overwrite_default_scope('mmseg'):
        return revert_sync_batchnorm(MODELS.build(cfg))


@pytest.mark.parametrize('norm', [False, True], ids=['bias', 'norm'])
def test_published_checkpoint(norm, golden, tmp_path):
    data = golden('sdtv2_T4')
    backbone = {f'backbone.{key}': value for key, value in data.weights().items() if not key.startswith('head.')}
    state = OrderedDict({**backbone, **published(norm)})
    converted, found = convert(state)
    assert (found.model, found.family, found.embed_dims) == ('segmentor', 'MetaSDTv2', DIMS)
    back = to_published(converted, 'MetaSDTv2')
    assert set(back) == set(state) - set(found.left_out) and all(torch.equal(back[key], state[key]) for key in back)
    torch.save({'state_dict': state, 'meta': {}}, tmp_path / 'published.pth')
    model = segmentor(norm).double().eval()
    load_checkpoint(model, str(tmp_path / 'published.pth'), strict=True)
    with torch.no_grad():
        maps = model.backbone(data.input())
        for x, block in zip(maps, ('ConvBlock1_1.0', 'ConvBlock1_2.0', 'ConvBlock2_2.0', 'block4.1')):
            expected = torch.from_numpy(data.arrays[f'eval/{block}']).double().mean(0)
            torch.testing.assert_close(x, expected, rtol=0, atol=1e-5)
        pyramid, logits = reference(state, maps)
        for x, expected in zip(model.neck(maps), pyramid):
            torch.testing.assert_close(x, expected, rtol=0, atol=1e-9)
        torch.testing.assert_close(model.decode_head(model.neck(maps)), logits, rtol=0, atol=1e-9)
    assert logits.std() > 0.1 and min((lif(x, 1)).mean() for x in pyramid) > 0.05
    missing = OrderedDict(state)
    del missing['decode_head.scale_heads.3.2.1.0.conv.weight']
    with pytest.raises(ValueError, match=r'missing \(1\): decode_head.scale_heads.3.2.1.0.conv.weight'):
        convert(missing)


def test_several_time_steps():
    neuron = dict(type='LIF', time_steps=3)
    state = published(norm=True)
    with DefaultScope.overwrite_default_scope('mmseg'):
        neck = MODELS.build(
            dict(type='mmsterf.FPN_SNN', in_channels=list(LEVELS), out_channels=WIDTH, num_outs=4, neuron=neuron,
                 norm_cfg=dict(type='BN'))
        ).double().eval()  # fmt: skip
        head = MODELS.build(
            dict(type='mmsterf.FPNHead_SNN', in_channels=[WIDTH] * 4, in_index=[0, 1, 2, 3], channels=CHANNELS,
                 feature_strides=[2, 4, 8, 16], num_classes=CLASSES, neuron=neuron, norm_cfg=dict(type='BN'))
        ).double().eval()  # fmt: skip
    # The names here: layers of the head stand between those that upsample.
    for part, module in (('neck.', neck), ('decode_head.', head)):
        ours = {}
        for key, value in state.items():
            if key.startswith(part):
                words = key.removeprefix(part).replace('.1.0.', '.').split('.')
                if words[0] == 'scale_heads':
                    words[2] = str(2 * int(words[2]))
                ours['.'.join(words)] = value
        module.load_state_dict(ours)
    maps = [torch.randn(6, c, 48 // s, 64 // s).double() * 3 for c, s in zip(LEVELS, (2, 4, 8, 16))]
    with torch.no_grad():
        torch.testing.assert_close(head(neck(maps)), reference(state, maps, 3)[1], rtol=0, atol=1e-9)


def test_training():
    torch.manual_seed(0)
    model = segmentor(norm=True).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    before = copy.deepcopy(model.decode_head.state_dict())
    for _ in range(2):
        losses = model.loss(2 * torch.randn(2, 3, 64, 64), samples((64, 64), CLASSES))
        optimizer.zero_grad()
        sum(value for name, value in losses.items() if 'loss' in name).backward()
        optimizer.step()
    assert all(value.isfinite().all() for value in model.state_dict().values())
    assert not torch.equal(before['conv_seg.bias'], model.decode_head.conv_seg.bias)
    # Dropout lies behind the classifier's neuron: spikes become 0 or 1 / 0.9, whole channels at once.
    seen = []
    layer = model.decode_head.conv_seg
    with patch.object(layer, '_conv_forward', side_effect=lambda x, *_: seen.append(x) or x):
        layer(torch.full((8, CHANNELS, 4, 4), 5.0))
    values = seen[0].unique()
    assert torch.allclose(values, torch.tensor([0, 1 / 0.9])) and (seen[0].var((2, 3)) == 0).all()
