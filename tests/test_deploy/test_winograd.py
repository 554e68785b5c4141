"""NNPACK's convolutions against the usual ones, and where they are used."""

import copy
import subprocess
import sys

import pytest
import torch
from mmseg.structures import SegDataSample
from small_models import build, config
from test_compiled_models import batch
from torch import nn

from mmsterf.deploy import check_backend, compiled, count_by_count, inputs_of, networks
from mmsterf.deploy.comparing import difference
from mmsterf.deploy.running import Compiled
from mmsterf.deploy.runtimes import PACKAGES
from mmsterf.deploy.winograd import use_winograd
from mmsterf.engine import arguments
from mmsterf.errors import InvalidInput
from mmsterf.snn import fold_norms

pytestmark = pytest.mark.skipif(not torch.backends.nnpack.is_available(), reason='no NNPACK for this processor')


@pytest.fixture
def calls(monkeypatch):
    """Shapes of what NNPACK convolved."""
    found, plain = [], torch._nnpack_spatial_convolution

    def convolve(x, *args):
        found.append(tuple(x.shape))
        return plain(x, *args)

    monkeypatch.setattr(torch, '_nnpack_spatial_convolution', convolve)
    return found


@pytest.mark.parametrize(
    'shape, expected',
    [
        ((1, 64, 30, 31), [(1, 64, 30, 31)]),
        ((3, 64, 31, 30), [(1, 64, 31, 30)] * 3),
        ((20, 64, 14, 14), [(20, 64, 14, 14)]),
        ((20, 64, 7, 7), []),
        ((1, 64, 14, 14), []),
    ],
)
@pytest.mark.parametrize('bias', [True, False])
def test_equals_the_usual_convolution(shape, expected, bias, calls):
    torch.manual_seed(0)
    conv = nn.Conv2d(64, 72, 3, padding=1, bias=bias).requires_grad_(False)
    x = 4 * torch.rand(shape)
    found = use_winograd(copy.deepcopy(conv))(x)
    assert calls == expected
    assert difference([found], [conv(x)]) < 1e-5


@pytest.mark.parametrize(
    'arguments',
    [
        dict(kernel_size=3, padding=1, stride=2),
        dict(kernel_size=3, padding=0),
        dict(kernel_size=3, padding=2, dilation=2),
        dict(kernel_size=3, padding=1, groups=2),
        dict(kernel_size=3, padding=1, padding_mode='reflect'),
        dict(kernel_size=5, padding=2),
        dict(kernel_size=1),
        dict(kernel_size=3, padding=1, out_channels=32),
    ],
)
def test_other_convolutions_stay(arguments, calls):
    conv = nn.Conv2d(64, **{'out_channels': 64, **arguments})
    x = torch.rand(1, 64, 32, 32)
    assert torch.equal(use_winograd(copy.deepcopy(conv))(x), conv(x)) and not calls


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_other_precisions_stay(dtype, calls):
    conv = nn.Conv2d(64, 64, 3, padding=1).to(dtype)
    x = torch.rand(1, 64, 32, 32, dtype=dtype)
    assert torch.equal(use_winograd(copy.deepcopy(conv))(x), conv(x)) and not calls


def test_segmentor(calls, monkeypatch):
    """Logits and labels; images of the size of the logits, and others that are resized."""
    monkeypatch.setattr('mmsterf.deploy.winograd._CHANNELS', 32)  # the small model's necks and heads
    model = build(config('semantic_fpn_sdtv2_digits'))
    data = batch(SegDataSample, (160, 160), 2)
    plain, inputs = fold_norms(model).eval(), inputs_of(model, data)
    other = compiled(model, 'nnpack', inputs)
    assert {shape[:2] for shape in calls} == {(1, 32)}
    # With so many counts some lie on an edge: what differs must follow from these.
    (counts,) = count_by_count(networks(plain, 'model', (160, 160))[''], [inputs], 'nnpack')
    assert counts.counts > 1e6 and not counts.wrong and counts.difference < 1e-5
    for shape in ((160, 160), (90, 120)):
        for sample in data['data_samples']:
            sample.set_metainfo(dict(ori_shape=shape))
        with torch.no_grad():
            results = [m.test_step(copy.deepcopy(data)) for m in (plain, other)]
        logits = [torch.stack([sample.seg_logits.data for sample in result]) for result in results]
        assert logits[1].shape[-2:] == shape and difference(logits[1:], logits[:1]) < 5e-3
        for sample in results[1]:
            labels = sample.pred_sem_seg.data
            assert torch.equal(labels, sample.seg_logits.data.argmax(0, keepdim=True)) and len(labels.unique()) > 2


def test_a_copy_is_run(calls):
    """What is compiled does not change with the module that it is of, and the module stays as it is."""
    conv = nn.Conv2d(64, 64, 3, padding=1).requires_grad_(False)
    x = torch.rand(1, 64, 32, 32)
    run = Compiled(conv, 'nnpack', x)
    expected = conv(x)
    assert run.difference < 1e-5 and calls == [(1, 64, 32, 32)]
    conv.weight.zero_()
    assert difference([run(x)], [expected]) < 1e-5


ELSEWHERE = """
import sys, torch
conv = torch.load(sys.argv[1], weights_only=False)
x = torch.rand(1, 64, 32, 32)
plain = torch.nn.functional.conv2d(x, conv.weight, conv.bias, padding=1)
with torch.no_grad():
    found = conv(x)
print(float((found - plain).abs().max()), torch.equal(found, plain))
"""


def test_another_process(tmp_path):
    """NNPACK has to be started in each."""
    torch.save(use_winograd(nn.Conv2d(64, 64, 3, padding=1)), tmp_path / 'conv.pth')
    command = [sys.executable, '-c', ELSEWHERE, str(tmp_path / 'conv.pth')]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-500:]
    error, equal = done.stdout.split()
    assert float(error) < 1e-4 and equal == 'False'  # rounding says that NNPACK ran


def test_absent(monkeypatch):
    monkeypatch.setattr('torch.backends.nnpack.is_available', lambda: False)
    with pytest.raises(InvalidInput, match='NNPACK is not in this PyTorch'):
        check_backend('nnpack')
    with pytest.raises(InvalidInput, match='precision must be f32, or bf16 with openvino'):
        check_backend('nnpack', 'bf16')


def test_tools_offer_what_can_be_compiled():
    assert sorted(arguments.BACKENDS) == sorted(PACKAGES)
