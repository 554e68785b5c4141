"""Neurons and models on the device of ``make test DEVICE=cuda`` against the CPU: values and gradients."""

import copy

import pytest
import torch
from small_models import build, config

from mmsterf.deploy.comparing import difference
from mmsterf.deploy.parts import dense_head, flat
from mmsterf.snn import ILIF
from mmsterf.snn.count import _kernels_for

CONFIGS = ['mask_rcnn_sdt_mlpixer_digits', 'mask_rcnn_sdt_srb_tiny', 'semantic_fpn_sdtv2_digits']


@pytest.fixture
def other(device) -> str:
    if device == 'cpu':
        pytest.skip('compares another device with the CPU: make test DEVICE=cuda')
    return device


@pytest.mark.parametrize('dtype', [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_a_neuron_is_that_of_the_cpu_bit_for_bit(other, dtype):
    x = (6 * torch.rand(4, 3, 33, 65) - 1).to(dtype)
    grad = torch.randn_like(x)
    found = []
    for where in ('cpu', other):
        leaf = x.to(where).requires_grad_()
        y = ILIF()(leaf)
        y.backward(grad.to(where))
        found.append((y.detach().cpu(), leaf.grad.cpu()))
    assert _kernels_for(x.to(other)) is not None
    assert all(torch.equal(a, b) for a, b in zip(*found))


@pytest.mark.parametrize('name', CONFIGS)
def test_a_model_is_that_of_the_cpu(other, name):
    model = build(config(name))
    x = torch.randn(1, 3, 64, 96)
    found = []
    for where in ('cpu', other):
        its, leaf = copy.deepcopy(model).to(where), x.to(where).requires_grad_()
        maps = its.extract_feat(leaf)
        outputs = [*flat(maps), *flat(getattr(its, dense_head(its))(maps))]
        sum(out.square().mean() for out in outputs).backward()
        found.append([*(out.detach().cpu() for out in outputs), leaf.grad.cpu()])
    # A count on an edge may round the other way.
    assert difference(found[1], found[0]) < 0.02
