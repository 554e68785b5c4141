"""Networks out of PyTorch: exported, written as ONNX, OpenVINO IR, torch.export or NIR, and run by other runtimes."""

from .comparing import count_by_count
from .exporting import FORMATS, export_program, write
from .models import compiled, describe_differences, inputs_of
from .nir_graph import to_nir
from .parts import PARTS, networks, prepared
from .runtimes import BACKENDS, PRECISIONS, check_backend, runtime

__all__ = [
    'BACKENDS',
    'FORMATS',
    'PARTS',
    'PRECISIONS',
    'check_backend',
    'compiled',
    'count_by_count',
    'describe_differences',
    'export_program',
    'inputs_of',
    'networks',
    'prepared',
    'runtime',
    'to_nir',
    'write',
]
