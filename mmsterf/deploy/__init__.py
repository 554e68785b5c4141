"""Networks out of PyTorch: exported, written as ONNX, OpenVINO IR or torch.export, and run by other runtimes."""

from .compiled import compiled
from .exporting import FORMATS, export_program, write
from .parts import PARTS, networks
from .runtimes import BACKENDS, runtime

__all__ = ['BACKENDS', 'FORMATS', 'PARTS', 'compiled', 'export_program', 'networks', 'runtime', 'write']
