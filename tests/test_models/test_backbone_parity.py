"""MetaSDT against the public implementation, in float64, through the converter."""

import numpy as np
import pytest
import torch

from mmsterf.checkpoint import convert, to_published
from mmsterf.models import MetaSDT

MIXERS = {'conv': 'ConvMixer', 'mlpixer': 'MLPixer', 'srb': 'SRB'}
BLOCKS = ('ConvBlock1_1.0', 'ConvBlock1_2.0', 'ConvBlock2_2.0', 'block3.5', 'block4.1')
# The last three have two images, which keeps torch's error with one (see below) out of the reference.
NAMES = ('conv_r4', 'mlpixer_r4', 'srb_r4', 'conv_layerscale', 'conv_sdeformer', 'mlpixer_unscaled')
# The backbone registered in the public detector counts to 8 in training.
SETTINGS = {
    'conv_sdeformer': dict(neuron=dict(type='ILIF', max_count=8, norm=4, eval_max_count=4)),
    'mlpixer_unscaled': dict(attention_scale='unscaled'),  # the file of the published ERF script
}


def load(data, **kwargs) -> MetaSDT:
    meta = data.meta
    state, description = convert(data.weights())
    assert (description.mixer, description.mlp_ratio) == (MIXERS[meta['kind']], meta['mlp_ratio'])
    arch = dict(embed_dims=description.embed_dims)
    model = MetaSDT(
        arch, mixer=dict(type=description.mixer), mlp_ratio=description.mlp_ratio, out_indices=range(5), **kwargs
    )
    model.double().load_state_dict(state, strict=True)
    return model


def erf(model: MetaSDT, x: torch.Tensor) -> dict:
    """Spatial ERF of sample 0 after each stage: centre, all channels, mean of |gradient| over RGB."""
    x = x.clone().requires_grad_()
    maps = {}
    for block, out in zip(BLOCKS, model(x)):
        seed = torch.zeros_like(out)
        seed[0, :, out.shape[2] // 2, out.shape[3] // 2] = 1
        maps[block] = torch.autograd.grad(out, x, seed, retain_graph=True)[0][0].abs().mean(0)
    return maps


def gradient_norms(model: MetaSDT, x: torch.Tensor) -> tuple:
    """Loss of the training mode, and gradient norms by published name."""
    outs = []
    blocks = [block for stage in ('1a', '1b', '2', '3', '4') for block in getattr(model, f'stage{stage}')]
    hooks = [block.register_forward_hook(lambda _, __, out: outs.append(out)) for block in blocks]
    model.train()(x)
    loss = sum(out.square().mean() for out in outs)
    model.zero_grad()
    loss.backward()
    for hook in hooks:
        hook.remove()
    grads = to_published({name: p.grad for name, p in model.named_parameters()})
    return loss.item(), {name: grad.norm().item() for name, grad in grads.items()}


def assert_gradients(data, norms: dict) -> None:
    expected = dict(zip(data.meta['params'], data.arrays['train/grad_l2']))
    assert norms.keys() == expected.keys()
    for name, value in expected.items():
        # Biases in front of a batch norm have no gradient: what is stored of them is rounding.
        assert norms[name] == pytest.approx(value, rel=1e-6, abs=1e-12), name


@pytest.mark.parametrize('name', [*NAMES, 'mlpixer_r6'])
def test_features(golden, name):
    data = golden(f'backbone_{name}')
    model = load(data, **SETTINGS.get(name, {})).eval()
    for block, out in zip(BLOCKS, model(data.input())):
        assert data.error(f'eval/{block}', out) < 1e-5


@pytest.mark.parametrize('name', NAMES)
def test_gradients(golden, name):
    data = golden(f'backbone_{name}')
    model = load(data, **SETTINGS.get(name, {})).eval()
    for block, value in erf(model, data.input()).items():
        if f'erf/{block}' in data.arrays:
            assert data.error(f'erf/{block}', value) < 1e-5
    loss, norms = gradient_norms(model, data.input())
    assert loss == pytest.approx(float(data.arrays['train/loss']), rel=1e-9)
    if name == 'conv_layerscale':
        norms.update(of_layer_scales(model, data.weights()))
    assert_gradients(data, norms)


def of_layer_scales(model: MetaSDT, weights: dict) -> dict:
    """Gradient norms of layer scales s, and of the norms (g, b) in front, which the model has as s*g and s*b."""
    norms = {}
    for key, scale in weights.items():
        if '.layer_scale' in key:
            block, _, number = key.rpartition('.layer_scale')
            ours, theirs = {
                '1': ('sepconv.pw2.norm', 'conv.pwconv2.1'),
                '2': ('attn.proj.norm', 'attn.proj_conv.1'),
                '3': ('mlp.fc2.norm', 'mlp.fc2_bn'),
            }[number]
            norm = model.get_submodule(f'{block.replace("block", "stage")}.{ours}')
            total = 0
            for leaf, parameter in (('weight', norm.weight), ('bias', norm.bias)):
                name = f'{block}.{theirs}.{leaf}'
                norms[name] = (scale * parameter.grad).norm().item()
                total = total + weights[name] * parameter.grad
            norms[key] = total.norm().item()
    return norms


def test_layer_scales_of_one_for_the_public_code(golden):
    data = golden('backbone_conv_layerscale')
    state, found = convert(data.weights())
    assert 'layer_scale folded' in str(found)
    published = to_published(state, layer_scale=True)
    assert published.keys() == data.weights().keys()
    scales = [value for key, value in published.items() if '.layer_scale' in key]
    assert len(scales) == 24 and all((value == 1).all() for value in scales)
    again, _ = convert(published)
    assert all(torch.equal(again[key], value) for key, value in state.items())
    assert to_published(state).keys() == {key for key in published if '.layer_scale' not in key}
    published['block3.0.layer_scale2'] = torch.ones(3)
    del published['block4.1.layer_scale3']
    with pytest.raises(ValueError, match=r'(?s)missing \(1\): block4.1.layer_scale3.*block3.0.layer_scale2 is \(3,\)'):
        convert(published)


def test_gradients_of_a_single_image(golden):
    """mlpixer_r6 has one image, so that what is stored of it behind attention carries torch's error.

    torch's CPU batch norm misreads gradients that come with transposed strides, for one image, and the public attention
    passes such on. What no attention is in the way of is compared; for the rest, one image has the gradients of two.
    """
    data = golden('backbone_mlpixer_r6')
    model = load(data).eval()
    right, twice = erf(model, data.input()), erf(model, data.input().repeat(2, 1, 1, 1))
    for block in BLOCKS:
        if f'erf/{block}' in data.arrays and block.startswith('Conv'):
            assert data.error(f'erf/{block}', right[block]) < 1e-5
        assert torch.allclose(right[block], twice[block], rtol=1e-9, atol=1e-12)
    (loss, norms), (_, of_two) = (gradient_norms(model, data.input().repeat(n, 1, 1, 1)) for n in (1, 2))
    assert loss == pytest.approx(float(data.arrays['train/loss']), rel=1e-9)
    assert norms == pytest.approx(of_two, rel=1e-9, abs=1e-12)
    after = [name for name in norms if name.startswith(('block4.1.mlp.', 'block4.1.attn.proj_conv.'))]
    assert len(after) == 11
    stored = dict(zip(data.meta['params'], data.arrays['train/grad_l2']))
    assert {name: norms[name] for name in after} == pytest.approx(
        {name: stored[name] for name in after}, rel=1e-6, abs=1e-12
    )


def test_converter_goes_back(golden):
    data = golden('backbone_srb_r4')
    published = data.weights()
    back = to_published(convert(published)[0])
    assert back.keys() == published.keys()
    assert all(torch.equal(back[name], published[name]) for name in published)
    assert sum(np.abs(value.numpy()).sum() for value in back.values()) == pytest.approx(data.meta['check'], rel=1e-12)
