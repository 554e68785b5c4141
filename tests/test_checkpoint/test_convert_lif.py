"""Published names of the LIF models to mmsterf's and back."""

from collections import OrderedDict

import pytest
import torch

from mmsterf.checkpoint import convert, drop_heads, is_published, to_published
from mmsterf.checkpoint.loading import load_pretrained
from mmsterf.models import MetaSDTv2, QKFormer, SpikeDrivenTransformer, Spikformer

DIMS = (16, 32, 64, 96)
FOUND = {
    'sdtv2_T4': ('custom', DIMS, 'ConvMixer', 'MetaSDTv2'),
    'sdtv1_T4': ('2-64', (64,), None, 'SpikeDrivenTransformer'),
    'spikformer_T4': ('2-64', (64,), None, 'Spikformer'),
    'qkformer_T4': ('5-64', (16, 32, 64), None, 'QKFormer'),
}
UNUSED = {'sdtv2_T4': 0, 'sdtv1_T4': 2, 'spikformer_T4': 8, 'qkformer_T4': 0}
MODELS = {
    'sdtv2_T4': lambda: MetaSDTv2(dict(embed_dims=DIMS)),
    'sdtv1_T4': lambda: SpikeDrivenTransformer(64, 2),
    'spikformer_T4': lambda: Spikformer(64, 2, num_heads=8),
    'qkformer_T4': lambda: QKFormer(64, (1, 2, 2), 8),
}


def assert_same(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype and torch.equal(found[key], value), key


@pytest.fixture(params=FOUND)
def name(request):
    return request.param


@pytest.fixture
def published(golden, name):
    """The published state dict of a classifier: its names and shapes with random numbers."""
    shapes = {key: shape for key, shape in golden(name).meta['state_dict'].items() if key.split('.')[0] != 'head'}
    shapes.update({'head.weight': (10, FOUND[name][1][-1]), 'head.bias': (10,)})
    return OrderedDict((key, torch.randn(shape) if shape else torch.tensor(7)) for key, shape in shapes.items())


@pytest.mark.parametrize('name', ['sdtv1_T4', 'spikformer_T4', 'qkformer_T4'])  # sdtv2 takes seconds
def test_golden_weights_go_through_the_converter(golden, name):
    data = golden(name)
    model = MODELS[name]().double().eval()
    model.output = 'folded'
    state, _ = convert(drop_heads(data.weights())[0])
    model.load_state_dict(state)
    block = [key for key in data.arrays if key.startswith('eval/')][-1]
    assert data.error(block, model(data.input())[-1]) < 1e-5


def test_round_trip_restores_all_but_the_unused(published, name):
    state, found = convert(published)
    arch, dims, mixer, family = FOUND[name]
    assert (found.arch, found.embed_dims, found.mixer, found.family) == (arch, dims, mixer, family)
    assert (found.model, found.mlp_ratio, found.tensors) == ('classifier', 4, len(published))
    assert len(found.left_out) == UNUSED[name] and all(key in str(found) for key in found.left_out)
    assert is_published(published) and not is_published(state)
    back = to_published(state, family)
    assert_same(back, {key: value for key, value in published.items() if key not in found.left_out})
    again, found = convert({f'module.{key}': value for key, value in back.items()})
    assert_same(again, state)
    assert found.left_out == () and 'left_out' not in str(found)


def test_what_is_built_here_goes_both_ways(name):
    state = MODELS[name]().state_dict()
    assert_same(convert(to_published(state, FOUND[name][-1]))[0], state)


def test_all_problems_are_listed(published, name):
    keys = [key for key in published if key.endswith('weight') and 'head' not in key and 'norm' not in key]
    published[keys[-2]] = torch.zeros(3)
    del published[keys[-1]]
    published['strange'] = torch.zeros(1)
    with pytest.raises(ValueError) as error:
        convert(published)
    what, *problems = str(error.value).splitlines()
    assert what == f'not a published classifier (embed_dims {FOUND[name][1]}, {FOUND[name][-1]}, e 4)'
    assert problems[:2] == ['  unknown (1): strange', f'  missing (1): {keys[-1]}']
    assert problems[2].startswith(f'  wrong shape (1): {keys[-2]} is (3,), expected (')


def test_unused_tensors_have_their_shape(golden):
    state = golden('spikformer_T4').weights()
    state['block.1.norm2.bias'] = torch.zeros(2)
    with pytest.raises(ValueError, match=r'block\.1\.norm2\.bias is \(2,\), expected \(64,\)'):
        convert(state)


def test_the_family_is_asked_for_where_names_fit_two():
    state = Spikformer(64, 1, num_heads=8).state_dict()
    with pytest.raises(ValueError, match='Spikformer and SpikeDrivenTransformer alike: give family, got None'):
        to_published(state)
    with pytest.raises(ValueError, match=r"family must be one of MetaSDT, .*, QKFormer, got 'Swin'"):
        to_published(state, 'Swin')
    with pytest.raises(ValueError, match="family is 'MetaSDT', but the names are those of QKFormer"):
        to_published(QKFormer(64, (1, 1, 1), 8).state_dict(), 'MetaSDT')


def test_backbones_inside_detectors(golden):
    """The detector's published neck and heads around a Meta-SDT v2; no other LIF backbone was published in one."""
    whole = golden('mask_rcnn_srb_tiny_parts').meta['state_dict'].items()
    state = {key: torch.randn(shape) for key, shape in whole if not key.startswith('backbone.')}
    dims = (32, 64, 128, 192)
    backbone = to_published(MetaSDTv2(dict(embed_dims=dims)).state_dict())
    state.update((f'backbone.{key}', value) for key, value in backbone.items())
    converted, found = convert(state)
    assert (found.model, found.family, found.embed_dims) == ('detector', 'MetaSDTv2', dims)
    assert 'backbone.stage3.0.attn.qkv.pw1.weight' in converted and 'rpn_head.rpn_cls.weight' in converted
    assert_same(to_published(converted), state)
    foreign = to_published(QKFormer(64, (1, 1, 1), 8).state_dict())
    heads = {key: value for key, value in state.items() if not key.startswith('backbone.')}
    with pytest.raises(ValueError, match='no published detector has QKFormer as its backbone'):
        convert({**heads, **{f'backbone.{key}': value for key, value in foreign.items()}})


def test_published_files_load_completely(published, name, tmp_path):
    file = tmp_path / 'published.pth'
    torch.save({'model': published}, file)
    model = MODELS[name]()
    load_pretrained(model, str(file))
    assert_same(model.state_dict(), convert(drop_heads(published)[0])[0])
