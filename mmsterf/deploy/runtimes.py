"""Runtimes: each takes a file or a program, and gives a function from an array to a list of arrays."""

import copy
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Callable, Optional, Union

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from mmsterf.errors import InvalidInput

from .exporting import FORMATS, convert, export_program, limits, package, write
from .winograd import use_winograd

BACKENDS = ('openvino', 'onnxruntime', 'torch', 'nnpack')
"""Runtimes; 'torch' runs a program of torch.export, 'nnpack' is PyTorch as it is, see `winograd.py`."""
MIXED = 'openvino+nnpack'
"""Of whole models: OpenVINO runs the backbone, NNPACK neck and heads."""
KINDS = {'openvino': 'openvino', 'onnxruntime': 'onnx', 'torch': 'torch'}
"""Formats that they read."""
PRECISIONS = ('f32', 'bf16')
PACKAGES = {
    'openvino': {'openvino': 'openvino'},
    'onnxruntime': {'onnx': 'onnx', 'onnxscript': 'onnx', 'onnxruntime': 'onnx'},
    'torch': {},
    'nnpack': {},
    MIXED: {'openvino': 'openvino'},
}
"""What each backend needs, and the extra that has it."""


def backend_of(file: Path) -> str:
    """The runtime of a file, by its ending.

    Raises:
        InvalidInput: If there is none.
    """
    found = next((backend for backend, kind in KINDS.items() if FORMATS[kind] == file.suffix), None)
    if found is None:
        raise InvalidInput(f'{file} must end in one of {", ".join(FORMATS.values())}')
    return found


def check_backend(backend: str, precision: str = 'f32') -> None:
    """Refuse a backend or precision that is none, or whose packages are absent.

    Raises:
        InvalidInput: With the choices, or the package.
    """
    if backend not in PACKAGES:
        raise InvalidInput(f'backend must be one of {", ".join(PACKAGES)}, got {backend!r}')
    if precision not in PRECISIONS or (precision != 'f32' and backend != 'openvino'):
        raise InvalidInput(f'precision must be f32, or bf16 with openvino; got {precision!r} with {backend}')
    if 'nnpack' in backend and not torch.backends.nnpack.is_available():
        raise InvalidInput(f'{backend}: NNPACK is not in this PyTorch, or not for this processor: take another backend')
    for name, extra in PACKAGES[backend].items():
        package(name, extra)


def started(network: nn.Module, example: Tensor, backend: str, free: str = 'none', precision: str = 'f32') -> Callable:
    """Export a network and load it into a runtime.

    Args:
        network (nn.Module): In evaluation mode, see `mmsterf.deploy.parts.Network`; a copy of it is run by 'nnpack'.
        example (Tensor): What it is exported with.
        backend (str): One of `BACKENDS`.
        free (str): Which axes of later inputs are free, see `export_program`.
        precision (str): See `runtime`.

    Returns:
        Callable: As `runtime`; refuses inputs of sizes that the graph does not hold for.

    Raises:
        InvalidInput: If it cannot be exported, or the runtime is absent.
    """
    check_backend(backend, precision)
    if backend == 'nnpack':
        return _on_arrays(use_winograd(copy.deepcopy(network)))
    program = export_program(network, example, free)
    held = limits(program, free)
    if backend != 'onnxruntime':
        return _within(held, runtime(program, backend, precision=precision))
    with TemporaryDirectory(prefix='mmsterf_') as folder:
        file = write(program, KINDS[backend], Path(folder, 'model.onnx'))
        return _within(held, runtime(file, backend, precision=precision))


def _within(held: dict, run: Callable) -> Callable:
    """A runtime behind the `limits` of its graph: outside of them it would compute something else, and not say so."""

    def checked(x: np.ndarray) -> list:
        for axis, (what, least, most) in held.items():
            if not least <= x.shape[axis] <= most:
                raise InvalidInput(
                    f'the exported graph holds where the {what} is {least} to {most} alone, got {x.shape[axis]}: '
                    'compile the model with an example of that size'
                )
        return run(x)

    return checked if held else run


def runtime(source: Union[Path, ExportedProgram], backend: str, threads: Optional[int] = None, precision: str = 'f32'):
    """Load a network into a runtime, on CPU.

    Args:
        source (Path | ExportedProgram): A file of `mmsterf.deploy.write`, or a program; ONNX Runtime takes files,
            OpenVINO its own models as well.
        backend (str): One of `BACKENDS` that reads files.
        threads (int, optional): As many as PyTorch has by default.
        precision (str): 'f32' or, with OpenVINO, 'bf16'.

    Returns:
        Callable: From arrays, one for each input (a network's is float32), to a list of arrays.

    Raises:
        InvalidInput: If the backend is unknown, absent, or does not take the source.
    """
    check_backend(backend, precision)
    if backend not in _LOADERS:
        raise InvalidInput(f'{backend} runs no files: backend must be one of {", ".join(_LOADERS)}')
    threads = threads or torch.get_num_threads()
    return _LOADERS[backend](source, threads, precision)


def load_openvino(source, threads: int, precision: str) -> Callable:
    """Load an OpenVINO model, file or program, see `runtime`."""
    ov = package('openvino', 'openvino')
    model = convert(source) if isinstance(source, ExportedProgram) else source
    settings = {'INFERENCE_NUM_THREADS': threads, 'INFERENCE_PRECISION_HINT': precision}
    request = _core(ov).compile_model(model, 'CPU', settings).create_infer_request()

    def run(*arrays: np.ndarray) -> list:
        # Copied: the next call writes to the same memory.
        return [np.array(value) for value in request.infer([np.ascontiguousarray(x) for x in arrays]).values()]

    return run


@cache
def _core(ov):
    """OpenVINO's Core, one for the process, which is never let go.

    Each gives the thread another stack for signal handlers, and gives back the one that it found when it goes: of two
    that go in the order in which they came, the second gives back the stack of the first, whose memory is gone. The
    next signal with a handler (Ctrl-C, the end of a data loader's process) is a segmentation fault then.
    """
    return ov.Core()


def load_onnxruntime(source, threads: int, precision: str) -> Callable:
    """Load a file into ONNX Runtime, see `runtime`."""
    if isinstance(source, ExportedProgram):
        raise InvalidInput('onnxruntime takes a file: write the program as onnx first')
    ort = package('onnxruntime', 'onnx')
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(str(source), options, providers=['CPUExecutionProvider'])
    names = [value.name for value in session.get_inputs()]
    return lambda *arrays: session.run(None, dict(zip(names, arrays)))


def load_torch(source, threads: int, precision: str) -> Callable:
    """Load a file or program into PyTorch, see `runtime`."""
    program = source if isinstance(source, ExportedProgram) else torch.export.load(source)
    return _on_arrays(program.module())


def _on_arrays(module: nn.Module) -> Callable:
    """A module of PyTorch as a function of arrays."""

    def run(*arrays: np.ndarray) -> list:
        with torch.inference_mode():
            return [value.numpy() for value in module(*map(torch.from_numpy, arrays))]

    return run


_LOADERS = {'openvino': load_openvino, 'onnxruntime': load_onnxruntime, 'torch': load_torch}
