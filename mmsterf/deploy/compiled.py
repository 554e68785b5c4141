"""A model whose tensors go through another runtime."""

import tempfile
from pathlib import Path
from typing import Optional

import torch
from torch import Tensor, nn

from mmsterf.errors import InvalidInput
from mmsterf.snn import fold_norms

from .exporting import export_program, write
from .parts import Network
from .runtimes import runtime


def compiled(model: nn.Module, backend: str, example: Tensor, precision: str = 'f32') -> nn.Module:
    """Fold a module, export it, and let a runtime run it: takes and returns tensors as the module does.

    Args:
        model (nn.Module): Takes one tensor, returns (nested tuples of) tensors; stays as it is.
        backend (str): One of `mmsterf.deploy.BACKENDS`.
        example (Tensor): An input. The number of images, height and width of later ones are free.
        precision (str): 'f32', or 'bf16' with OpenVINO.

    Raises:
        InvalidInput: If it cannot be exported, or the runtime is absent.

    Example:
        >>> model = compiled(MetaSDT('tiny'), 'openvino', torch.rand(1, 3, 224, 224))
        >>> [tuple(x.shape) for x in model(torch.rand(1, 3, 64, 96))]
        [(1, 32, 16, 24), (1, 64, 8, 12), (1, 128, 4, 6), (1, 192, 4, 6)]
    """
    return Compiled(fold_norms(model), backend, example, precision)


class Compiled(nn.Module):
    """See `compiled`; the module is folded already."""

    def __init__(self, model: nn.Module, backend: str, example: Tensor, precision: str = 'f32') -> None:
        super().__init__()
        if not isinstance(example, Tensor) or example.dim() != 4:
            raise InvalidInput(f'example must be a tensor (N, C, H, W), got {type(example).__name__}')
        network = Network(model, lambda m, x: m(x), tuple(example.shape[1:]))
        with torch.no_grad():
            self._structure = _structure(model(example))
        pair = example if len(example) > 1 else example.expand(2, *example.shape[1:]).contiguous()
        program = export_program(network.eval(), pair, 'size')
        self._folder: Optional[tempfile.TemporaryDirectory] = None
        source = program
        if backend == 'onnxruntime':
            self._folder = tempfile.TemporaryDirectory(prefix='mmsterf_')
            source = write(program, 'onnx', Path(self._folder.name, 'model.onnx'))
        self._run = runtime(source, backend, precision=precision)

    def forward(self, x: Tensor):
        arrays = self._run(x.detach().cpu().contiguous().numpy())
        return _fill(self._structure, iter([torch.from_numpy(array).to(x) for array in arrays]))


def _structure(value):
    """Nested tuples and lists, None where a tensor was."""
    return None if isinstance(value, Tensor) else type(value)(_structure(item) for item in value)


def _fill(structure, tensors):
    return next(tensors) if structure is None else type(structure)(_fill(item, tensors) for item in structure)
