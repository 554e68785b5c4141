"""Published state dicts to mmsterf's, and back: pure functions on dictionaries.

The names are those of the paper's public implementation, which shares them with Spike-driven Transformer v3. Every
published module stands for one module here; q, k and v of an attention block stand for thirds of one convolution and
one norm, and 1-d convolutions of the MLP for 1x1 convolutions.
"""

from collections import OrderedDict
from dataclasses import asdict, dataclass
from typing import Mapping, Optional

import torch
from torch import Tensor

ARCH_DIMS = {
    (24, 48, 96, 128): 'nano',
    (32, 64, 128, 192): 'tiny',
    (48, 96, 192, 240): 'small',
    (64, 128, 256, 360): 'base',
}


@dataclass(frozen=True)
class Description:
    """What `convert` found.

    Attributes:
        model (str): 'backbone', 'classifier', 'detector' or 'segmentor'.
        arch (str): Name of the architecture, or 'custom'.
        embed_dims (tuple[int]): (C0, C1, C2, C3).
        mixer (str): 'ConvMixer', 'MLPixer' or 'SRB'.
        mlp_ratio (float): e.
        tensors (int): Number of published tensors.
    """

    model: str
    arch: str
    embed_dims: tuple
    mixer: str
    mlp_ratio: float
    tensors: int

    def __str__(self) -> str:
        return ', '.join(f'{key} {value}' for key, value in asdict(self).items())


def _backbone_modules() -> dict:
    """Published module name to (mmsterf module name, part of it or None)."""
    table = {'downsample1_1.encode_conv': 'stem.conv', 'downsample1_1.encode_bn': 'stem.norm'}
    for published, ours in (('1_2', '1b'), ('2', '2'), ('3', '3'), ('4', '4')):
        table[f'downsample{published}.encode_conv'] = f'down{ours}.conv'
        table[f'downsample{published}.encode_bn'] = f'down{ours}.norm'

    def sepconv(published: str, ours: str) -> dict:
        pairs = (('pwconv1', 'pw1'), ('dwconv', 'dw'), ('pwconv2', 'pw2'))
        leaves = (('0', 'conv'), ('1', 'norm'))
        return {f'{published}.{a}.{c}': f'{ours}.sepconv.{b}.{d}' for a, b in pairs for c, d in leaves}

    for published, ours in (('1_1', '1a.0'), ('1_2', '1b.0'), ('2_1', '2.0'), ('2_2', '2.1')):
        published, ours = f'ConvBlock{published}.0', f'stage{ours}'
        table.update(sepconv(f'{published}.Conv', ours))
        for i in '12':
            table[f'{published}.conv{i}'] = f'{ours}.mixer.conv{i}.conv'
            table[f'{published}.bn{i}'] = f'{ours}.mixer.conv{i}.norm'
            table[f'{published}.fc{i}'] = f'{ours}.mixer.fc{i}'
    for stage, depth in ((3, 6), (4, 2)):
        for i in range(depth):
            published, ours = f'block{stage}.{i}', f'stage{stage}.{i}'
            table.update(sepconv(f'{published}.conv', ours))
            for part, name in enumerate('qkv'):
                table[f'{published}.attn.{name}_conv.0'] = (f'{ours}.attn.qkv', part)
                table[f'{published}.attn.{name}_conv.1'] = (f'{ours}.attn.norm', part)
            table[f'{published}.attn.proj_conv.0'] = f'{ours}.attn.proj.conv'
            table[f'{published}.attn.proj_conv.1'] = f'{ours}.attn.proj.norm'
            for j in '12':
                table[f'{published}.mlp.fc{j}_conv'] = f'{ours}.mlp.fc{j}.conv'
                table[f'{published}.mlp.fc{j}_bn'] = f'{ours}.mlp.fc{j}.norm'
    return {published: ours if isinstance(ours, tuple) else (ours, None) for published, ours in table.items()}


def _detector_modules() -> dict:
    table = {
        f'neck.{kind}_convs.{i}.1.0.conv': f'neck.{kind}_convs.{i}.conv'
        for kind in ('lateral', 'fpn')
        for i in range(4)
    }
    table.update({f'rpn_head.rpn_{name}.1.0': f'rpn_head.rpn_{name}' for name in ('conv', 'cls', 'reg')})
    table.update({f'roi_head.bbox_head.{name}': f'roi_head.bbox_head.{name}' for name in ('fc_cls', 'fc_reg')})
    table.update({f'roi_head.bbox_head.shared_fcs.{i}.1.0': f'roi_head.bbox_head.shared_fcs.{i}' for i in range(2)})
    table.update({f'roi_head.mask_head.convs.{i}.1.0.conv': f'roi_head.mask_head.convs.{i}.conv' for i in range(4)})
    table.update(
        {f'roi_head.mask_head.{name}.1.0': f'roi_head.mask_head.{name}' for name in ('upsample', 'conv_logits')}
    )
    return {published: (ours, None) for published, ours in table.items()}


def _segmentor_modules() -> dict:
    table = {'decode_head.conv_seg': 'decode_head.conv_seg'}
    for kind in ('lateral', 'fpn'):
        for i in range(4):
            table[f'neck.{kind}_convs.{i}.0'] = f'neck.{kind}_convs.{i}.conv'
            table[f'neck.{kind}_convs.{i}.1'] = f'neck.{kind}_convs.{i}.bn'
    for level in range(4):
        for j in range(0, 2 * max(level, 1), 2):  # upsampling layers stand at the odd places
            head = f'decode_head.scale_heads.{level}.{j}'
            table[f'{head}.1'], table[f'{head}.2'] = f'{head}.conv', f'{head}.bn'
    return {published: (ours, None) for published, ours in table.items()}


BACKBONE = _backbone_modules()
DETECTOR = _detector_modules()
SEGMENTOR = _segmentor_modules()
CLASSIFIER = {'head': ('head', None)}


def _model_kind(keys) -> str:
    tops = {key.split('.', 1)[0] for key in keys}
    if tops & {'rpn_head', 'roi_head'}:
        return 'detector'
    if 'decode_head' in tops:
        return 'segmentor'
    return 'classifier' if 'head' in tops else 'backbone'


def _modules(kind: str) -> dict:
    if kind in ('backbone', 'classifier'):
        return {**BACKBONE, **(CLASSIFIER if kind == 'classifier' else {})}
    prefixed = {f'backbone.{a}': (f'backbone.{b}', part) for a, (b, part) in BACKBONE.items()}
    return {**prefixed, **(DETECTOR if kind == 'detector' else SEGMENTOR)}


def _describe(state: Mapping[str, Tensor], kind: str, tensors: int) -> Description:
    prefix = '' if kind in ('backbone', 'classifier') else 'backbone.'
    dims = tuple(state[f'{prefix}down{s}.conv.weight'].shape[0] for s in ('1b', '2', '3', '4'))
    mixer = f'{prefix}stage1a.0.mixer'
    if f'{mixer}.fc2.weight' in state:
        name = 'MLPixer'
    else:
        name = 'SRB' if f'{mixer}.fc1.weight' in state else 'ConvMixer'
    ratio = state[f'{prefix}stage3.0.mlp.fc1.conv.weight'].shape[0] / dims[2]
    return Description(kind, ARCH_DIMS.get(dims, 'custom'), dims, name, ratio, tensors)


def convert(state_dict: Mapping[str, Tensor]) -> tuple:
    """Map a published state dict to mmsterf's names.

    Args:
        state_dict (Mapping[str, Tensor]): Backbone, ImageNet classifier, detector or segmentor by published names.

    Returns:
        tuple[OrderedDict[str, Tensor], Description]: The state dict by mmsterf's names, and what it is.

    Raises:
        ValueError: If names are unknown or missing; the message lists them all.
    """
    state_dict = {key.removeprefix('module.'): value for key, value in state_dict.items()}
    kind = _model_kind(state_dict)
    modules = _modules(kind)
    unknown, parts = [], OrderedDict()
    for key, value in state_dict.items():
        module, _, leaf = key.rpartition('.')
        if module not in modules:
            unknown.append(key)
            continue
        name, part = modules[module]
        if value.dim() == 3:
            value = value.unsqueeze(-1)
        parts.setdefault(f'{name}.{leaf}', {})[part] = value
    incomplete = [name for name, values in parts.items() if None not in values and len(values) < 3]
    if unknown or incomplete:
        raise ValueError(
            f'not a published {kind}: unknown names {unknown or "none"}; q, k or v missing in {incomplete or "none"}'
        )
    state = OrderedDict((name, _join(values)) for name, values in parts.items())
    try:
        return state, _describe(state, kind, len(state_dict))
    except KeyError as error:
        raise ValueError(f'not a published {kind}: nothing stands for {error}') from None


def _join(values: dict) -> Tensor:
    if None in values:
        return values[None]
    ordered = [values[part] for part in range(3)]
    return torch.cat(ordered) if ordered[0].dim() else ordered[0]


def to_published(state_dict: Mapping[str, Tensor], widths: Optional[tuple] = None) -> OrderedDict:
    """Inverse of `convert`: mmsterf's names to the published ones.

    Args:
        state_dict (Mapping[str, Tensor]): State dict by mmsterf's names, or anything with its names and shapes, such
            as gradients.

    Raises:
        ValueError: If names are unknown; the message lists them all.
    """
    modules = {}
    for published, target in _modules(_model_kind(state_dict)).items():
        modules.setdefault(target[0], []).append((published, target[1]))
    unknown = [key for key in state_dict if key.rpartition('.')[0] not in modules]
    if unknown:
        raise ValueError(f'names that no published model has: {unknown}')
    published_state = OrderedDict()
    for key, value in state_dict.items():
        module, _, leaf = key.rpartition('.')
        for published, part in modules[module]:
            piece = value
            if part is not None and value.dim():
                unit = value.shape[0] // 6  # q, k: C channels, v: 4 C
                piece = value[part * unit : (part + 1) * unit] if part < 2 else value[2 * unit :]
            if '.mlp.fc' in published and piece.dim() == 4:
                piece = piece.squeeze(-1)
            published_state[f'{published}.{leaf}'] = piece.clone()
    return published_state
