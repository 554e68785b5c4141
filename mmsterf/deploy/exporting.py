"""A network as a `torch.export` program, and that as a file."""

import copy
import logging
import os
import re
import traceback
import warnings
from pathlib import Path
from typing import Optional

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config
from torch.utils._sympy.numbers import int_oo

from mmsterf.errors import InvalidInput

FORMATS = {'torch': '.pt2', 'onnx': '.onnx', 'openvino': '.xml'}
"""Endings of files by format."""
OPSET = 20


def export_program(network: nn.Module, example: Tensor, dynamic: str = 'none') -> ExportedProgram:
    """Trace a network into a graph of PyTorch's core operators, neurons included (clip, round).

    Args:
        network (nn.Module): In evaluation mode, folded (`mmsterf.snn.fold_norms`); takes one tensor.
        example (Tensor): An input (N, C, H, W) or (T, N, C, H, W); N is at least 2 where it is to be free.
        dynamic (str): 'none'; 'batch' leaves the number of images or regions free; 'size' the height and width too.

    Raises:
        InvalidInput: Names the operation that cannot be exported.
    """
    axes = _free_axes(example, dynamic)
    shapes = (dict.fromkeys(axes, Dim.AUTO),) if axes else None
    try:
        program = _traced(network, example, shapes)
        if _limits(program, axes):
            with _free_of_ones():
                program = _traced(network, example, shapes)
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        name = type(getattr(network, 'model', network)).__name__
        raise InvalidInput(f'{name} cannot be exported{_line(error)}: {" ".join(reason.split())[:300]}') from error
    return program


def _traced(network: nn.Module, example: Tensor, shapes: Optional[tuple]) -> ExportedProgram:
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        return torch.export.export(network, (example,), dynamic_shapes=shapes)


def _free_of_ones():
    """Sizes of 1 stay free in a trace.

    Else what is one image, or one pixel high or wide, for the example is so in the graph for any input. PyTorch's own
    way to ONNX sets the same. Not always, because `torch.export` then refuses other inputs of size 1 where the order in
    memory was looked at.
    """
    return _config.patch(backed_size_oblivious=True)


def _free_axes(example: Tensor, dynamic: str) -> dict:
    """Axes of an input that are to be free, and what they are."""
    batch = example.dim() - 4  # behind the time steps of a sequence
    axes = {batch: 'number of images', batch + 2: 'height', batch + 3: 'width'}
    return {axis: axes[axis] for axis in {'none': (), 'batch': (batch,), 'size': axes}[dynamic]}


def check_free(program: ExportedProgram, dynamic: str) -> None:
    """Refuse a graph that holds for some sizes alone, because the module's code decides by them.

    Args:
        program (ExportedProgram): From `export_program`.
        dynamic (str): What was to be free.

    Raises:
        InvalidInput: Names the axis, and for what the graph holds.
    """
    for what, least, most in limits(program, dynamic).values():
        raise InvalidInput(f'the graph is not free: it holds where the {what} is {least} to {most} alone')


def limits(program: ExportedProgram, dynamic: str) -> dict:
    """Axes of the input that were to be free, and are not.

    Args:
        program (ExportedProgram): From `export_program`.
        dynamic (str): What was to be free.

    Returns:
        dict: By axis: what it is, and the least and the largest size that the graph holds for.
    """
    return _limits(program, _free_axes(_input(program), dynamic))


def _input(program: ExportedProgram) -> Tensor:
    (name,) = program.graph_signature.user_inputs
    return next(node.meta['val'] for node in program.graph.nodes if node.name == name)


def _limits(program: ExportedProgram, axes: dict) -> dict:
    """What is not free of some axes, see `limits`."""
    found, shape = {}, _input(program).shape
    for axis, what in axes.items():
        size = shape[axis]
        span = None if isinstance(size, int) else program.range_constraints.get(size.node.expr)
        least, most = (size, size) if span is None else (span.lower, span.upper)
        if most != int_oo:
            found[axis] = what, int(least), int(most)
    return found


def _line(error: Exception) -> str:
    """The line of code outside of torch that could not be traced."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f'{os.sep}torch{os.sep}' not in f.filename]
    if frames[-1].filename == __file__:
        return ''
    return f', for `{frames[-1].line}` in {Path(frames[-1].filename).name}, line {frames[-1].lineno}'


def _operations(error: Exception) -> str:
    """The operations that a converter's message names, or its beginning."""
    text = str(error)
    found = re.findall(r"op='([\w.]+)'", text) or re.findall(r'\b(?:aten|prims|prim)[.:]+[\w.]+', text)
    if found:
        return f'it has no {", ".join(sorted(set(found)))}'
    return ' '.join(text.split())[:300]


def write(program: ExportedProgram, kind: str, file: Path, names: Optional[list] = None) -> Path:
    """Write a program to a file, whole or not at all; OpenVINO's weights go beside it (.bin).

    Args:
        program (ExportedProgram): From `export_program`.
        kind (str): A key of `FORMATS`.
        file (Path): Where to; its folder exists.
        names (list[str], optional): Of the outputs.

    Raises:
        InvalidInput: If the format's package is absent or cannot express an operation.
    """
    part = file.with_name(f'.{os.getpid()}.{file.name}')
    moves = {part: file}
    try:
        if kind == 'torch':
            torch.export.save(program, part)
        elif kind == 'onnx':
            _write_onnx(program, part, names)
        else:
            ov = package('openvino', 'openvino')
            ov.save_model(convert(program), part, compress_to_fp16=False)
            moves[part.with_suffix('.bin')] = file.with_suffix('.bin')
        for source, target in moves.items():
            os.replace(source, target)
    finally:
        for source in moves:
            source.unlink(missing_ok=True)
    return file


def _write_onnx(program: ExportedProgram, file: Path, names: Optional[list]) -> None:
    onnx = package('onnx', 'onnx')
    package('onnxscript', 'onnx')
    model = _onnx_program(program, names)
    _keep_constants(model.model.graph)
    model.save(str(file))
    try:
        onnx.checker.check_model(str(file), full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise InvalidInput(f'the network is no valid ONNX graph: {" ".join(str(error).split())[:300]}') from error
    foreign = sorted({node.domain for node in onnx.load(str(file), load_external_data=False).graph.node} - {''})
    if foreign:
        raise InvalidInput(f'the graph has operators of {", ".join(foreign)}, which are not standard ones of ONNX')


def _keep_constants(graph) -> None:
    """Give a graph the constants of its nodes that PyTorch's optimiser loses.

    Where two neurons fire at one map, it gives the bounds of both one name, and keeps one of them.
    """
    for value in (value for node in graph for value in node.inputs if value is not None):
        if value.const_value is not None and value.producer() is None and not value.is_initializer():
            graph.register_initializer(value)


def _onnx_program(program: ExportedProgram, names: Optional[list]):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            return torch.onnx.export(
                copy.deepcopy(program),
                dynamo=True,
                opset_version=OPSET,
                input_names=['input'],
                output_names=names,
                verbose=False,
            )
    except Exception as error:
        raise InvalidInput(f'ONNX cannot express the network: {_operations(error)}') from error


def convert(program: ExportedProgram):
    """The program as a model of OpenVINO, its input with the axes of the program.

    Raises:
        InvalidInput: If OpenVINO is absent or lacks an operation.
    """
    ov = package('openvino', 'openvino')
    root = logging.getLogger()
    before = root.level, root.filters[:], root.handlers[:]
    try:
        with _free_of_ones():  # it traces the program again
            return ov.convert_model(program)
    except Exception as error:
        # OpenVINO silences the root logger meanwhile, and brings it back only where it succeeds.
        root.setLevel(before[0])
        root.filters[:], root.handlers[:] = before[1:]
        raise InvalidInput(f'OpenVINO cannot express the network: {_operations(error)}') from error


def package(name: str, extra: str):
    """Import an optional package.

    Raises:
        InvalidInput: If it is not installed.
    """
    try:
        return __import__(name)
    except ImportError as error:
        raise InvalidInput(f"{name} is needed here: pip install 'mmsterf[{extra}]' ({error})") from error
