"""Write results: JSON, CSV and NumPy files that are there whole or not at all."""

import csv
import json
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Optional, Union

import numpy as np

from .core import STERF


def replace_file(path: Union[str, Path], write: Callable[[Path], object]) -> Path:
    """Call ``write(temporary_path)``, then rename it to `path`: readers never see half a file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'.{path.stem}.{os.getpid()}{path.suffix}')
    try:
        write(part)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def write_json(path: Union[str, Path], rows: list[dict], about: Optional[Mapping] = None) -> Path:
    """Write ``{**about, 'layers': rows}``; numbers that are not finite become null (JSON has none)."""

    def plain(value):
        if isinstance(value, Mapping):
            return {k: plain(v) for k, v in value.items()}
        if isinstance(value, (list, tuple)):
            return [plain(v) for v in value]
        return None if isinstance(value, float) and not math.isfinite(value) else value

    text = json.dumps(plain({**(about or {}), 'layers': rows}), indent=2, allow_nan=False) + '\n'
    return replace_file(path, lambda part: part.write_text(text))


def write_csv(path: Union[str, Path], rows: list[dict]) -> Path:
    """Write one line per row; the columns are the keys of all rows, in order of appearance."""
    names = list(dict.fromkeys(k for row in rows for k in row))

    def write(part: Path) -> None:
        with part.open('w', newline='') as file:
            writer = csv.DictWriter(file, names)
            writer.writeheader()
            writer.writerows(rows)

    return replace_file(path, write)


def write_maps(path: Union[str, Path], results: Mapping[str, STERF]) -> Path:
    """Write an .npz with ``mean/NAME`` and ``sem/NAME`` (D, H, W) of every layer, float32."""
    arrays = {}
    for name, result in results.items():
        arrays[f'mean/{name}'], arrays[f'sem/{name}'] = result.mean.astype('f4'), result.sem.astype('f4')

    def write(part: Path) -> None:
        with part.open('wb') as file:
            np.savez_compressed(file, **arrays)

    return replace_file(path, write)
