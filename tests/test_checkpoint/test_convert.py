"""Published names to mmsterf's and back, as pure functions."""

import subprocess
import sys
from collections import OrderedDict

import pytest
import torch

from mmsterf.checkpoint import convert, drop_heads, is_published, to_published
from mmsterf.models import MetaSDT

FOUND = {
    'backbone_conv_r4': ('backbone', 'custom', (16, 32, 64, 96), 'ConvMixer', 4, 603),
    'backbone_mlpixer_r4': ('backbone', 'custom', (16, 32, 64, 96), 'MLPixer', 4, 563),
    'backbone_srb_r4': ('backbone', 'custom', (16, 32, 64, 96), 'SRB', 4, 583),
    'backbone_mlpixer_r6': ('backbone', 'custom', (16, 32, 64, 96), 'MLPixer', 6, 563),
    'mask_rcnn_srb_tiny_parts': ('detector', 'tiny', (32, 64, 128, 192), 'SRB', 4, 625),
    'semantic_fpn_srb_tiny': ('segmentor', 'tiny', (32, 64, 128, 192), 'SRB', 4, 683),
}


@pytest.fixture
def published(golden):
    """Published state dicts by golden name: their names and shapes with random numbers."""

    def state(name: str = 'backbone_srb_r4') -> OrderedDict:
        shapes = golden(name).meta['state_dict'].items()
        return OrderedDict((key, torch.randn(shape) if shape else torch.tensor(7)) for key, shape in shapes)

    return state


def assert_same(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype and torch.equal(found[key], value), key


@pytest.mark.parametrize('name', FOUND)
def test_round_trip_is_the_identity(published, name):
    state = published(name)
    before = OrderedDict((key, value.clone()) for key, value in state.items())
    converted, found = convert(state)
    expected = FOUND[name]
    assert tuple(vars(found).values()) == (*expected, 'MetaSDT', (), '')
    assert 'mlp_ratio 6,' in str(found) if expected[4] == 6 else 'mlp_ratio 4,' in str(found)
    assert_same(to_published(converted), state)
    assert_same(state, before)
    assert is_published(state) and not is_published(converted)


@pytest.mark.parametrize(
    ('arch', 'mixer', 'ratio'), [('nano', 'ConvMixer', 4), ('tiny', 'SRB', 4), ('small', 'MLPixer', 6)]
)
def test_what_is_built_here_goes_both_ways(arch, mixer, ratio):
    state = MetaSDT(arch, mixer=dict(type=mixer), mlp_ratio=ratio).state_dict()
    converted, found = convert(to_published(state))
    assert (found.arch, found.mixer, found.mlp_ratio) == (arch, mixer, ratio)
    assert_same(converted, state)


def test_module_prefix_and_half_precision(published):
    state = {key: value.half() if value.dim() else value for key, value in published().items()}
    converted, _ = convert({f'module.{key}': value for key, value in state.items()})
    assert_same(converted, convert(state)[0])
    assert converted['stage3.0.attn.qkv.weight'].dtype == torch.float16
    state['module.' + next(iter(state))] = torch.zeros(8)
    with pytest.raises(ValueError, match='twice'):
        convert(state)


@pytest.mark.parametrize('heads', [('head',), ('head', 'head_kd')])
def test_classifier(published, heads):
    state = published()
    backbone, _ = convert(state)
    for head in heads:
        state.update({f'{head}.weight': torch.randn(1000, 96), f'{head}.bias': torch.randn(1000)})
    converted, found = convert(state)
    assert (found.model, found.tensors) == ('classifier', 583 + 2 * len(heads))
    assert_same(to_published(converted), state)
    rest, dropped = drop_heads(state)
    assert len(dropped) == 2 * len(heads)
    assert_same(convert(rest)[0], backbone)


def test_all_problems_are_listed(published):
    state = published()
    del state['block3.2.attn.k_conv.0.weight'], state['downsample4.encode_bn.bias']
    state['block3.2.attn.x_conv.0.weight'] = torch.zeros(1)
    state['strange'] = torch.zeros(1)
    state['block4.1.mlp.fc1_conv.weight'] = torch.zeros(384, 96)
    state['ConvBlock2_1.0.bn2.bias'] = [1.0]
    with pytest.raises(ValueError) as error:
        convert(state)
    assert str(error.value).splitlines() == [
        'not a published backbone (embed_dims (16, 32, 64, 96), SRB, e 4)',
        '  unknown (2): block3.2.attn.x_conv.0.weight, strange',
        '  missing (2): downsample4.encode_bn.bias, block3.2.attn.k_conv.0.weight',
        '  wrong shape (2): ConvBlock2_1.0.bn2.bias is no tensor but list, '
        'block4.1.mlp.fc1_conv.weight is (384, 96), expected (384, 96, 1)',
    ]


def test_sizes_that_cannot_be_read(published):
    state = published('mask_rcnn_srb_tiny_parts')
    gone = ['backbone.downsample3.encode_conv.weight', 'roi_head.mask_head.conv_logits.1.0.weight']
    for key in gone:
        del state[key]
    with pytest.raises(ValueError) as error:
        convert(state)
    _, missing = str(error.value).splitlines()
    assert missing == f'  missing (2): {", ".join(gone)}'
    state = published()
    state['downsample3.encode_conv.weight'] = torch.tensor(1.0)
    with pytest.raises(ValueError, match=r'downsample3.encode_conv.weight is \(\), expected'):
        convert(state)


def test_truncated_and_foreign(published):
    state = published()
    half = dict(list(state.items())[: len(state) // 2])
    with pytest.raises(ValueError, match=rf'missing \({len(state) - len(half)}\)'):
        convert(half)
    for foreign in ({'conv1.weight': torch.zeros(64, 3, 7, 7), 'fc.bias': torch.zeros(9)}, {}, {3: torch.zeros(1)}):
        assert not is_published(foreign)
        with pytest.raises(ValueError, match='not a published'):
            convert(foreign)


def test_other_number_of_classes_and_wrong_heads(published):
    state = published('mask_rcnn_srb_tiny_parts')
    box, mask = 'roi_head.bbox_head', 'roi_head.mask_head.conv_logits.1.0'
    for leaf, shape in (('weight', (1024,)), ('bias', ())):
        state[f'{box}.fc_cls.{leaf}'] = torch.randn(11, *shape)
        state[f'{box}.fc_reg.{leaf}'] = torch.randn(40, *shape)
    with pytest.raises(ValueError, match=r'fc_cls.weight is \(11, 1024\), expected \(81, 1024\)'):
        convert(state)
    state.update({f'{mask}.weight': torch.randn(10, 256, 1, 1), f'{mask}.bias': torch.randn(10)})
    assert_same(to_published(convert(state)[0]), state)


def test_parts_of_one_tensor_must_agree(published):
    state = published()
    state['block3.1.attn.k_conv.1.num_batches_tracked'] = torch.tensor(8)
    with pytest.raises(ValueError, match=r'stage3\.1\.attn\.norm\.num_batches_tracked'):
        convert(state)


def test_direction_is_checked(published):
    state = published()
    converted, _ = convert(state)
    with pytest.raises(ValueError, match='to_published'):
        convert(converted)
    with pytest.raises(ValueError, match='published names already'):
        to_published(state)
    del converted['stage2.1.mixer.fc1.weight']
    converted['stem.extra'] = torch.zeros(1)
    with pytest.raises(ValueError, match=r'(?s)unknown \(1\): stem.extra\n  missing \(1\): stage2.1.mixer.fc1.weight'):
        to_published(converted)


def test_parameters_alone_go_back(published):
    state = published()
    converted, _ = convert(state)
    model = MetaSDT(dict(embed_dims=(16, 32, 64, 96)), mixer=dict(type='SRB'))
    names = [name for name, _ in model.named_parameters()]
    found = to_published({name: converted[name] for name in names})
    assert_same(found, {key: value for key, value in state.items() if 'running' not in key and 'num_b' not in key})


def test_pointwise_mixers_have_no_published_names():
    model = MetaSDT(dict(embed_dims=(8, 8, 16, 16)), mixer=dict(type='MLPixer', layout='pointwise'))
    with pytest.raises(ValueError, match=r'stage1a\.0\.mixer\.fc1\.conv\.weight'):
        to_published(model.state_dict())


def test_needs_no_openmmlab():
    code = "import sys, mmsterf.checkpoint; print([m for m in sys.modules if m.split('.')[0] in ('mmengine', 'mmcv')])"
    out = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == '[]'
