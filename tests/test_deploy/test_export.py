"""Exported networks against PyTorch: formats, parts, sizes; a process without torch; bad input."""

import json
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from mmsterf.deploy import compiled, export_program, networks, prepared, write
from mmsterf.deploy.exporting import check_free
from mmsterf.errors import InvalidInput
from mmsterf.models import MetaSDT, SpikeDrivenTransformer
from mmsterf.models.lif_attention import SSA, MaskSDSA, TokenAttention
from mmsterf.models.pixel_product import PixelProduct
from mmsterf.models.sdsa import SDSA, RepSDSA
from mmsterf.snn import ILIF, fold_norms

ROOT = Path(__file__).parents[2]
SMALL = {'embed_dims': (8, 8, 8, 8), 'depths': (1, 1, 1, 1, 1)}
SIZES = [(2, 64, 96), (1, 96, 160), (3, 50, 70)]
BACKBONES = {
    'mlpixer_raster': lambda: MetaSDT(SMALL, mixer={'type': 'MLPixer'}, mlp_ratio=2),
    'srb_raster': lambda: MetaSDT(SMALL, mixer={'type': 'SRB'}, mlp_ratio=2),
    'lif_over_time': lambda: SpikeDrivenTransformer(embed_dims=32, depth=1, time_steps=2),
}


def lively(model: torch.nn.Module) -> torch.nn.Module:
    """Folded, with gains of 1, so that neurons fire."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(module.weight, 1.0)
    return fold_norms(model)


ATTENTIONS = {
    'SDSA': (lambda: SDSA(16), 2),
    'SDSA of PLIF': (lambda: SDSA(16, neuron={'type': 'PLIF'}), 2),
    'SSA': (lambda: SSA(16, 4), 2),
    'MaskSDSA': (lambda: MaskSDSA(16), 2),
    'TokenAttention': (lambda: TokenAttention(16, 4), 2),
    'RepSDSA': (lambda: RepSDSA(16), 0),
}


@pytest.mark.parametrize('name', ATTENTIONS)
def test_attention_written_for_runtimes_computes_the_same(name):
    build, products = ATTENTIONS[name]
    attention = build().eval()
    for module in attention.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias, 0.5)
            module.running_var.uniform_(0.2, 2.0)
    other = prepared(attention)
    assert sum(isinstance(module, PixelProduct) for module in other.modules()) == products
    x = 2 * torch.randn(3, 16, 5, 7)
    with torch.no_grad():
        expected = fold_norms(attention)(x)
        assert expected.std() > 0.1 and len(attention(x)) == 3
        torch.testing.assert_close(other(x), expected, rtol=1e-5, atol=1e-5)
        assert other(x[:0]).shape == (0, 16, 5, 7)


@pytest.mark.parametrize('name', BACKBONES)
def test_openvino_equals_pytorch_at_any_size(name):
    pytest.importorskip('openvino')
    model = lively(BACKBONES[name]())
    other = compiled(model, 'openvino', torch.randn(1, 3, 64, 96))
    for n, h, w in SIZES:
        x = torch.randn(n, 3, h, w)
        for found, expected in zip(other(x), model(x)):
            assert expected.abs().max() > 0
            torch.testing.assert_close(found, expected.detach(), rtol=1e-5, atol=1e-5)


def test_onnx_is_standard_and_runs_without_torch(tmp_path):
    onnx = pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    model = lively(BACKBONES['srb_raster']())
    program = export_program(networks(model, 'backbone', (64, 96))[''].eval(), torch.randn(2, 3, 64, 96), 'size')
    file = write(program, 'onnx', tmp_path / 'model.onnx')
    graph = onnx.load(file).graph
    kinds = {node.op_type for node in graph.node}
    assert {'Clip', 'Round', 'Conv', 'MatMul'} <= kinds and {node.domain for node in graph.node} == {''}
    x = [torch.randn(n, 3, h, w) for n, h, w in SIZES]
    np.savez(tmp_path / 'inputs.npz', *[value.numpy() for value in x])
    script = (
        'import sys, numpy, onnxruntime\n'
        f"session = onnxruntime.InferenceSession(r'{file}')\n"
        f"inputs = numpy.load(r'{tmp_path / 'inputs.npz'}')\n"
        "found = {f'{k}.{i}': v for k in inputs for i, v in enumerate(session.run(None, {'input': inputs[k]}))}\n"
        f"numpy.savez(r'{tmp_path / 'outputs.npz'}', **found)\n"
        # What mmsterf.pth starts with Python teaches mmengine names, and is no part of the network.
        "names = set(sys.modules) - {'mmsterf', 'mmsterf.mmengine_names'}\n"
        "assert 'torch' not in names and not [name for name in names if name.startswith('mmsterf.')]\n"
    )
    subprocess.run([sys.executable, '-c', script], check=True, cwd=tmp_path)
    found = np.load(tmp_path / 'outputs.npz')
    for i, value in enumerate(x):
        for j, expected in enumerate(model(value)):
            np.testing.assert_allclose(found[f'arr_{i}.{j}'], expected.detach(), rtol=1e-5, atol=1e-5)


class OneMap(torch.nn.Module):
    """Neurons that fire at one map, one of them over two steps; the map is 1 pixel high at 64x96."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 4, 3, stride=64, padding=1)
        kinds = dict(max_count=4), dict(max_count=2), dict(time_steps=2)
        self.neurons = torch.nn.ModuleList(ILIF(normalize=False, **kind) for kind in kinds)

    def forward(self, x: torch.Tensor) -> tuple:
        y = 3 * self.conv(x)
        return tuple(neuron(y) for neuron in self.neurons)


@pytest.mark.parametrize('backend', ['openvino', 'onnxruntime', 'torch'])
def test_maps_of_one_pixel_in_the_example_are_free(backend, needs):
    """A size of 1 is no constant of the graph; and the bounds of all neurons are in it."""
    needs(backend)
    model = OneMap().eval()
    other = compiled(model, backend, torch.randn(2, 3, 64, 96))
    for shape, size in (((4, 3, 64, 96), (1, 2)), ((2, 3, 130, 200), (3, 4)), ((6, 3, 20, 30), (1, 1))):
        x = 4 * torch.randn(shape)
        expected = model(x)
        assert expected[0].amax() > expected[1].amax() > 0
        for found, value in zip(other(x), expected, strict=True):
            assert found.shape[-2:] == size
            torch.testing.assert_close(found, value.detach(), rtol=1e-5, atol=1e-5)


def export(*args, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, str(ROOT / 'tools/deployment/export.py'), *map(str, args)]
    return subprocess.run(command, cwd=cwd, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def test_tool_exports_a_detector_with_its_roi_heads(tmp_path):
    pytest.importorskip('openvino')
    config = ROOT / 'configs/mask_rcnn_sdt_mlpixer_digits.py'
    small = ['--cfg-options', 'model.backbone.arch.depths=[1,1,1,1,1]', 'model.backbone.mlp_ratio=1']
    done = export(config, '--format', 'openvino', '--size', 64, 64, '--out', tmp_path / 'd.xml', *small, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(
        f'd{part}{end}' for part in ('', '_box', '_mask') for end in ('.xml', '.bin', '.json')
    )
    facts = json.loads((tmp_path / 'd.json').read_text())
    assert facts['input']['shape'] == [1, 3, 64, 64] and facts['classes'] == list('0123456789')
    assert [o['name'] for o in facts['outputs']][:5] == [f'map{i}' for i in range(5)]
    assert facts['normalisation']['channels'] == 'RGB' and facts['out_strides'] == [4, 8, 16, 16]
    box = json.loads((tmp_path / 'd_box.json').read_text())
    assert box['input']['shape'] == [None, 64, 7, 7] and [o['name'] for o in box['outputs']] == [
        'cls_score',
        'bbox_pred',
    ]
    again = export(config, '--format', 'openvino', '--out', tmp_path / 'd.xml', cwd=tmp_path)
    assert again.returncode == 1 and '--force' in again.stdout.splitlines()[-1] and 'Traceback' not in again.stdout


def test_tool_exports_a_segmentor_of_any_size(tmp_path):
    config = ROOT / 'configs/semantic_fpn_sdt_mlpixer_digits.py'
    out = tmp_path / 's.pt2'
    done = export(config, '--format', 'torch', '--dynamic', '--size', 80, 80, '--out', out, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert json.loads((tmp_path / 's.json').read_text())['outputs'] == [{'name': 'logits', 'shape': [2, 11, 80, 80]}]
    assert torch.export.load(out).module()(torch.rand(1, 3, 96, 64))[0].shape == (1, 11, 96, 64)
    bad = export(config, '--format', 'onnx', '--out', 's.xml', cwd=tmp_path)
    assert bad.returncode == 1 and 'end in .onnx' in bad.stdout.splitlines()[-1]


def test_unknown_backend():
    with pytest.raises(InvalidInput, match='backend must be one of openvino, onnxruntime, torch'):
        compiled(torch.nn.Conv2d(3, 4, 1), 'tensorrt', torch.randn(1, 3, 32, 32))


@pytest.mark.parametrize(
    ('name', 'extra'), [('onnx', 'onnx'), ('onnxscript', 'onnx'), ('onnxruntime', 'onnx'), ('openvino', 'openvino')]
)
def test_absent_runtimes_are_named(name, extra, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    backend = 'openvino' if name == 'openvino' else 'onnxruntime'
    with pytest.raises(InvalidInput, match=rf"^{name} is needed here: pip install 'mmsterf\[{extra}\]'"):
        compiled(torch.nn.Conv2d(3, 4, 1), backend, torch.randn(1, 3, 32, 32))


class Bessel(torch.nn.Module):
    """An operation of PyTorch's that no other runtime has."""

    def forward(self, x: torch.Tensor) -> tuple:
        return (torch.special.i0e(x),)


class Looking(torch.nn.Module):
    """A function that looks at values."""

    def forward(self, x: torch.Tensor) -> tuple:
        return (x if x.sum() > 0 else -x,)


@pytest.mark.parametrize('kind', ['onnx', 'openvino'])
def test_operations_that_a_runtime_lacks_are_named(kind, tmp_path):
    pytest.importorskip(kind)
    program, root = export_program(Bessel().eval(), torch.rand(2, 3, 8, 8)), logging.getLogger()
    before = root.level, root.filters[:], root.handlers[:]
    with pytest.raises(InvalidInput, match=r'cannot express the network: it has no (prims|aten)\.\w*i0e') as caught:
        write(program, kind, tmp_path / 'x')
    assert len(str(caught.value).splitlines()) == 1 and not list(tmp_path.iterdir())
    assert (root.level, root.filters, root.handlers) == before, 'warnings are heard again'


def test_what_cannot_be_traced_is_named():
    with pytest.raises(
        InvalidInput, match=r'^Looking cannot be exported, for `return \(x if x.sum.*`.*: Could not guard'
    ):
        export_program(Looking().eval(), torch.rand(2, 3, 8, 8))


class Deciding(torch.nn.Module):
    """A function that asks for a size."""

    def forward(self, x: torch.Tensor) -> tuple:
        return (x[..., :4, :] if x.shape[2] <= 64 else x,)


def test_sizes_that_a_graph_does_not_hold_for_are_named():
    program = export_program(Deciding().eval(), torch.rand(2, 3, 32, 48), 'size')
    check_free(program, 'batch')
    with pytest.raises(InvalidInput, match='it holds where the height is 0 to 64 alone'):
        check_free(program, 'size')
    with pytest.raises(InvalidInput, match='it holds where the number of images is 2 to 2 alone'):
        check_free(export_program(Deciding().eval(), torch.rand(2, 3, 32, 48)), 'size')


@pytest.mark.parametrize('backend', ['torch', 'openvino', 'onnxruntime'])
def test_compiled_models_refuse_such_sizes(backend, needs):
    """OpenVINO and ONNX Runtime would compute what the graph says, which is something else."""
    needs(backend)
    model = Deciding().eval()
    other = compiled(model, backend, torch.rand(2, 3, 32, 48))
    for size in ((3, 3, 64, 48), (1, 3, 20, 56)):
        x = torch.rand(size)
        assert torch.equal(other(x)[0], model(x)[0])
    with pytest.raises(InvalidInput, match='holds where the height is 0 to 64 alone, got 65: compile the model with'):
        other(torch.rand(2, 3, 65, 48))
