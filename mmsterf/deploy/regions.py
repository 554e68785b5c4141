"""RoIAlign in other runtimes: mmcv's takes one core of a CPU, and 0.9 s of the 2.5 s that a Mask R-CNN then takes."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Callable, Optional

import numpy as np
import torch
from torch import Tensor, nn

from mmsterf.errors import InvalidInput

from .comparing import difference
from .exporting import OPSET, package
from .runtimes import load_onnxruntime, load_openvino

LARGEST_DIFFERENCE = 1e-4
_KINDS = (np.float32, np.float32, np.int32)
"""Of maps, boxes, and the image of each box, in OpenVINO."""


def region_layers(model: nn.Module) -> Iterator[nn.Module]:
    """RoIAlign layers of mmcv in a model's extractors, those that average."""
    for module in model.modules():
        if type(module).__name__ == 'RoIAlign' and getattr(module, 'pool_mode', None) == 'avg':
            yield module


def compile_regions(model: nn.Module, backend: str) -> Optional[float]:
    """Let a runtime run all RoIAlign layers of a model; returns the largest difference from mmcv's, None without any.

    Args:
        model (nn.Module): Changed.
        backend (str): 'openvino' or 'onnxruntime'; nothing happens with others.

    Raises:
        InvalidInput: If results differ.
    """
    worst = None
    build = {'openvino': _openvino, 'onnxruntime': _onnxruntime}.get(backend)
    for layer in region_layers(model) if build else ():
        run = _compiled(layer, build(layer))
        maps, regions = _example(layer)
        found = difference([run(maps, regions)], [layer(maps, regions)])
        if not found <= LARGEST_DIFFERENCE:
            raise InvalidInput(f'RoIAlign in {backend} differs from PyTorch by {found:.2g}: {layer}')
        layer.forward = run
        worst = max(worst or 0.0, found)
    return worst


def _compiled(layer: nn.Module, run: Callable) -> Callable:
    plain = layer.forward

    def forward(maps: Tensor, regions: Tensor) -> Tensor:
        if not len(regions):  # no runtime takes none
            return plain(maps, regions)
        image, boxes = regions[:, 0].cpu().numpy(), regions[:, 1:].float().cpu().contiguous().numpy()
        found = run(maps.detach().float().cpu().contiguous().numpy(), boxes, image)[0]
        if layer.aligned and not layer.sampling_ratio:
            # OpenVINO divides by the number of samples, of which a region without area has none.
            found[(boxes[:, 2:] <= boxes[:, :2]).any(1)] = 0
        return torch.from_numpy(found).to(maps)

    return forward


def _example(layer: nn.Module) -> tuple:
    """Maps of two images, and regions that are small, large, partly outside, and of no area."""
    chance = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 3, 20, 30, generator=chance)
    x = torch.rand(64, 2, 2, generator=chance) * torch.tensor([36.0, 26.0]) - 3
    boxes = torch.cat([x.min(1).values, x.max(1).values], 1)
    boxes[0, 2:] = boxes[0, :2]
    return maps, torch.cat([torch.arange(64.0)[:, None] % 2, boxes / layer.spatial_scale], 1)


def _openvino(layer: nn.Module) -> Callable:
    ov = package('openvino', 'openvino')
    from openvino import opset15 as ops

    inputs = [ops.parameter(shape, kind) for shape, kind in zip(([-1] * 4, [-1, 4], [-1]), _KINDS)]
    mode = 'half_pixel_for_nn' if layer.aligned else 'asymmetric'
    height, width = layer.output_size
    node = ops.roi_align(*inputs, height, width, layer.sampling_ratio, layer.spatial_scale, 'avg', mode)
    run = load_openvino(ov.Model([node], inputs), torch.get_num_threads(), 'f32')
    return lambda maps, boxes, image: run(maps, boxes, image.astype(np.int32))


def _onnxruntime(layer: nn.Module) -> Callable:
    onnx = package('onnx', 'onnx')
    helper, kinds = onnx.helper, onnx.TensorProto
    node = helper.make_node(
        'RoiAlign',
        ['maps', 'boxes', 'image'],
        ['regions'],
        coordinate_transformation_mode='half_pixel' if layer.aligned else 'output_half_pixel',
        output_height=layer.output_size[0],
        output_width=layer.output_size[1],
        sampling_ratio=layer.sampling_ratio,
        spatial_scale=layer.spatial_scale,
    )
    inputs = (
        ('maps', kinds.FLOAT, ['n', 'c', 'h', 'w']),
        ('boxes', kinds.FLOAT, ['r', 4]),
        ('image', kinds.INT64, ['r']),
    )
    inputs = [helper.make_tensor_value_info(*value) for value in inputs]
    output = helper.make_tensor_value_info('regions', kinds.FLOAT, ['r', 'c', *layer.output_size])
    graph = helper.make_graph([node], 'RoIAlign', inputs, [output])
    with TemporaryDirectory(prefix='mmsterf_') as folder:
        file = Path(folder, 'regions.onnx')
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid('', OPSET)], ir_version=10), str(file))
        run = load_onnxruntime(file, torch.get_num_threads(), 'f32')
    return lambda maps, boxes, image: run(maps, boxes, image.astype(np.int64))
