"""What stands beside an exported file: how to feed it, and what comes out."""

import hashlib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Optional

from torch import nn

from .parts import DENSE, Network

_PACKAGES = ('mmsterf', 'torch', 'onnx', 'openvino')


def describe(
    network: Network, outputs: list, name: str, part: str, dynamic: str, config: str, checkpoint: Optional[str], cfg
) -> dict:
    """Facts on an exported network, for JSON.

    Args:
        network (Network): What is exported.
        outputs (list): Its outputs, for their number and shapes.
        name (str): '', or 'box' or 'mask' of a RoI head.
        part (str): One of `PARTS`.
        dynamic (str): As `export_program`.
        config (str): Config file.
        checkpoint (str, optional): Weights; None for random ones.
        cfg (Config): The config.
    """
    model = network.model
    backbone = getattr(model, 'backbone', model)
    whole = network.example(1).shape
    batch = len(whole) - 4  # behind the time steps of a sequence
    free = {'none': (), 'batch': (batch,), 'size': (batch, batch + 2, batch + 3)}[dynamic]
    shape = [None if axis in free else side for axis, side in enumerate(whole)]
    facts = {
        'config': Path(config).name,
        'checkpoint': Path(checkpoint).name if checkpoint else None,
        'checkpoint_sha256': hashlib.sha256(Path(checkpoint).read_bytes()).hexdigest() if checkpoint else None,
        'part': f'{part}: {name}' if name else part,
        'input': {'name': 'input', 'shape': shape, 'dtype': 'float32'},
        'outputs': [
            {'name': _output_name(network, i, len(outputs), part, name), 'shape': list(o.shape)}
            for i, o in enumerate(outputs)
        ],
        'out_strides': list(getattr(backbone, 'out_strides', ())),
        'classes': _classes(cfg),
        'versions': {package: found for package in _PACKAGES if (found := _version(package))},
    }
    if not name:
        facts['normalisation'] = _normalisation(getattr(model, 'data_preprocessor', None))
    return facts


def _output_name(network: Network, index: int, count: int, part: str, name: str) -> str:
    if name:
        names = {'box': ('cls_score', 'bbox_pred'), 'mask': ('mask_logits',)}[name.rstrip('0123456789')]
        return names[index] if index < len(names) else f'output{index}'
    head = next((h for h in DENSE if isinstance(getattr(network.model, h, None), nn.Module)), None)
    if part in ('dense', 'model') and head in ('decode_head', 'head'):
        return 'logits' if count == 1 else f'logits{index}'
    if part not in ('dense', 'model'):
        return f'map{index}'
    neck = getattr(network.model, 'neck', None)
    maps = getattr(neck, 'num_outs', None)
    if maps is None or count < maps:
        return f'output{index}'
    return f'map{index}' if index < maps else f'{head}_output{index - maps}'


def _normalisation(preprocessor) -> Optional[dict]:
    """Mean and std in the order of the channels that the network takes."""
    mean, std = (getattr(preprocessor, key, None) for key in ('mean', 'std'))
    if mean is None or std is None:
        return None
    swaps = getattr(preprocessor, '_channel_conversion', False) or getattr(preprocessor, 'channel_conversion', False)
    return {
        'channels': 'RGB' if swaps else 'as loaded (OpenCV: BGR)',
        'mean': mean.flatten().tolist(),
        'std': std.flatten().tolist(),
        'pad_size_divisor': getattr(preprocessor, 'pad_size_divisor', None),
    }


def _classes(cfg) -> Optional[list]:
    loader = cfg.get('test_dataloader') or cfg.get('val_dataloader') or {}
    classes = ((loader.get('dataset') or {}).get('metainfo') or {}).get('classes')
    return list(classes) if isinstance(classes, (list, tuple)) else None


def _version(package: str) -> Optional[str]:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
