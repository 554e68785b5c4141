"""Weights of 16 bits: maps in their precision, close to those of 32."""

import copy

import numpy as np
import pytest
import torch
from test_seg_running import config

from mmsterf.models import MetaSDT, MetaSDTv2, QKFormer, SpikeDrivenTransformer, Spikformer
from mmsterf.models.sdsa import SDSA
from mmsterf.snn import SpikeRepConv

SMALL = {'embed_dims': (16, 16, 32, 32)}
BACKBONES = {
    **{mixer: lambda mixer=mixer: MetaSDT(SMALL, mixer={'type': mixer}) for mixer in ('ConvMixer', 'MLPixer', 'SRB')},
    **{
        kind: lambda kind=kind: MetaSDTv2(SMALL, time_steps=2, neuron={'type': kind})
        for kind in ('ILIF', 'LIF', 'PLIF')
    },
    'Spikformer': lambda: Spikformer(embed_dims=64, depth=2, num_heads=8, time_steps=2),
    'SpikeDrivenTransformer': lambda: SpikeDrivenTransformer(embed_dims=64, depth=2, time_steps=2),
    'QKFormer': lambda: QKFormer(embed_dims=64, depths=(1, 1, 1), num_heads=8, time_steps=2),
}
DTYPES = [torch.float16, torch.bfloat16]


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('name', BACKBONES)
def test_backbone(name, dtype):
    full, x = BACKBONES[name](), torch.randn(2, 3, 64, 64)
    for _ in range(3):
        full(x)
    half = copy.deepcopy(full).to(dtype)
    with torch.no_grad():
        for images in (x, x.to(dtype)):  # data preprocessors give float32
            for a, b in zip(full.eval()(x), half.eval()(images)):
                assert b.dtype == dtype
                assert (a - b.float()).norm() <= 0.2 * a.norm()
    half.train()
    sum(y.float().mean() for y in half(x)).backward()
    assert all(p.grad is not None and p.grad.dtype == dtype for p in half.parameters())


@pytest.mark.parametrize('dtype', DTYPES)
def test_attention_sums_are_exact(dtype):
    """65536 pixels of full counts: float16 would end at 65504, bfloat16 has 8 bits."""
    attention = SDSA(16, num_heads=1, neuron={'type': 'ILIF', 'max_count': 1})
    spikes = torch.ones(1, 16, 256, 256)
    seen = []
    attention.qkv = torch.nn.Identity()
    attention.norm = torch.nn.Identity()
    attention.widths = (4, 4, 8)
    attention.proj = torch.nn.Identity()
    attention.proj.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    attention.to(dtype)(spikes.to(dtype))
    assert seen[0].dtype == torch.float32
    assert torch.equal(seen[0], torch.full_like(seen[0], 4 * 65536 * attention.scale))


@pytest.mark.parametrize('dtype', DTYPES)
def test_repconv_border(dtype):
    """The response of its norm to zero: float16 has few bits left for eps."""
    conv = SpikeRepConv(4, 4)
    conv.norm1.running_var.fill_(1e-4)
    conv.norm1.running_mean.fill_(0.02)
    conv.eval()
    x = torch.zeros(1, 4, 5, 5)
    expected = conv(x)
    assert (copy.deepcopy(conv).to(dtype)(x.to(dtype)).float() - expected).norm() < 0.02 * expected.norm()


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('name', ['mask_rcnn_sdt_mlpixer_digits', 'mask_rcnn_sdtv2_digits'])
def test_detector(name, dtype):
    from mmdet.apis import inference_detector, init_detector

    model = init_detector(config(name), None, device='cpu')
    image = np.random.default_rng(0).integers(0, 255, (160, 160, 3), np.uint8)
    full = inference_detector(model, image).pred_instances
    half = inference_detector(model.to(dtype), image).pred_instances
    assert len(full) and half.bboxes.dtype == torch.float32
    torch.testing.assert_close(half.scores[:5], full.scores[:5], atol=0.02, rtol=0)
    assert half.masks.shape[1:] == (160, 160)
    # Positions up to 160 would be whole pixels in bfloat16.
    nearest = (half.bboxes[:, None] - full.bboxes).abs().amax(-1).amin(1)
    assert nearest.median() < 0.1


@pytest.mark.parametrize('dtype', DTYPES)
@pytest.mark.parametrize('name', ['semantic_fpn_sdt_mlpixer_digits', 'semantic_fpn_sdtv2_digits'])
def test_segmentor(name, dtype):
    from mmseg.apis import inference_model, init_model

    model = init_model(config(name), device='cpu')
    image = np.random.default_rng(0).integers(0, 255, (160, 160, 3), np.uint8)
    full = inference_model(model, image).seg_logits.data
    half = inference_model(model.to(dtype), image).seg_logits.data
    assert half.dtype == dtype
    # A head that is new fires near its thresholds.
    bound = {torch.float16: 0.25, torch.bfloat16: 0.6}[dtype]
    assert (full - half.float()).norm() < bound * full.norm()
