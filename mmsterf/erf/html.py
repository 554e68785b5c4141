"""One HTML file that shows results: maps to zoom into, metrics, layers, figures, and the command; needs matplotlib."""

import base64
import html
import json
import math
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Optional, Union

import numpy as np
from matplotlib import colormaps
from matplotlib.image import imsave

from mmsterf.palette import MAPS

from .answers import Answer
from .core import STERF
from .files import replace_file

DECADES = 12
"""Powers of ten below the maximum that stored maps have; smaller values are stored as the smallest."""

_TEMPLATE = Path(__file__).with_name('report.html')


def layer_entry(result: STERF, metrics: Mapping) -> dict:
    """What the report has to know of one layer."""
    shown = result.mean * (not result.cancels)
    return {
        'name': result.layer, 'map': _map(shown), 'centre': list(result.centre), 'metrics': dict(metrics),
        'cancels': bool(result.cancels), 'notes': '; '.join(result.notes),
    }  # fmt: skip


def answer_entry(name: str, answer: Answer, picture: np.ndarray) -> dict:
    """What the report has to know of one answer; `picture` is its input, (H, W, 3) in [0, 1]."""
    file = BytesIO()
    imsave(file, np.ascontiguousarray(picture), format='png')
    return {
        'name': f'{name}: {answer.target}', 'map': _map(answer.map), 'centre': list(answer.centre()),
        'metrics': answer.measure(), 'cancels': False, 'notes': '; '.join(answer.notes),
        'picture': _uri(file.getvalue()), 'box': answer.box and list(answer.box),
        'pixel': answer.pixel and list(answer.pixel),
    }  # fmt: skip


def model_entry(name: str, weights: str, layers: Sequence[dict]) -> dict:
    """What the report has to know of one model."""
    return {'name': name, 'about': weights, 'random': weights.startswith('RANDOM'), 'layers': list(layers)}


def write_html(
    path: Union[str, Path],
    title: str,
    command: str,
    models: Sequence[dict],
    figures: Optional[Mapping[str, Path]] = None,
    differences: Sequence[str] = (),
) -> Path:
    """Write the report: one file that needs nothing else, neither files nor network.

    Args:
        path: Of the file.
        title: Heading.
        command: That made the results.
        models: Of `model_entry`.
        figures: PNG files to put into it, by name.
        differences: Lines of `comparison_lines`.
    """
    data = {
        'title': title,
        'command': command,
        'models': models,
        'colours': _text((colormaps[MAPS](np.arange(256))[:, :3] * 255).round().astype('u1')),
        'figures': [{'name': n, 'source': _uri(f.read_bytes())} for n, f in (figures or {}).items()],
        'differences': list(differences),
    }  # fmt: skip
    # inside a script element, only `<` can end it
    text = json.dumps(_plain(data), allow_nan=False, separators=(',', ':')).replace('<', '\\u003c')
    page = _TEMPLATE.read_text(encoding='utf-8').replace('@TITLE@', html.escape(title)).replace('@DATA@', text)
    return replace_file(path, lambda part: part.write_text(page, encoding='utf-8'))


def _map(a: np.ndarray) -> dict:
    """A map (D, H, W) relative to its maximum in 16 bits: 0 is zero, others are logarithms."""
    a = np.nan_to_num(a, posinf=0)
    top = float(a.max())
    stored = np.zeros(a.shape, '<u2')
    positive = a > 0
    logs = np.log10(a[positive] / top) if top else np.zeros(0)
    stored[positive] = np.clip(np.round(65535 + 65534 * logs / DECADES), 1, 65535)
    return {'delays': a.shape[0], 'height': a.shape[1], 'width': a.shape[2], 'top': top, 'data': _text(stored)}


def _text(a: np.ndarray) -> str:
    return base64.b64encode(a.tobytes()).decode()


def _uri(png: bytes) -> str:
    return 'data:image/png;base64,' + base64.b64encode(png).decode()


def _plain(value):
    if isinstance(value, Mapping):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
