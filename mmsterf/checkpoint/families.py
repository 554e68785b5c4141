"""Which family of models a state dict belongs to, judged by a few of its tensors, and which backbone tensors follow."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Optional

from torch import Tensor

from . import names, names_lif

NAMINGS = ('published', 'mmsterf')

FAMILIES = ('MetaSDT', 'MetaSDTv2', 'Spikformer', 'SpikeDrivenTransformer', 'QKFormer')
"""Names of the backbones in `mmsterf.models`."""

MARKS = {
    'QKFormer': ('patch_embed1.', 'embed1.'),
    'Spikformer': ('patch_embed.', 'blocks.'),
    'MetaSDTv2': ('block3.0.attn.q_conv.0.body.', 'stage3.0.attn.qkv.pw1.'),
    'MetaSDT': ('', ''),
}
"""How some names begin in a family alone, by naming; the first that fits. SDT v1 has the names of Spikformer."""

ARCH_DIMS_V2 = {
    (64, 128, 256, 360): '15M',
    (96, 192, 384, 480): '31M',
    (128, 256, 512, 640): '55M',
}

_PLAIN_SIZES = {
    'image': ('patch_embed.proj_conv.weight', 'stem.embed1.conv.weight', 1),
    'channels': ('patch_embed.rpe_conv.weight', 'stem.position.conv.conv.weight', 0),
    'hidden': ('block.0.mlp.fc1_conv.weight', 'blocks.0.mlp.fc1.conv.weight', 0),
    'heads': ('block.0.attn.talking_heads.weight', '', 0),
}
SIZES = {
    'MetaSDT': names.SIZES['backbone'],
    'MetaSDTv2': names.SIZES['backbone'],
    'Spikformer': _PLAIN_SIZES,
    'SpikeDrivenTransformer': _PLAIN_SIZES,
    'QKFormer': {
        'image': ('patch_embed1.proj_conv.weight', 'stem.conv.weight', 1),
        'channels': ('patch_embed3.proj_res_conv.weight', 'embed3.shortcut.conv.weight', 0),
        'hidden': ('stage3.0.mlp.fc1_conv.weight', 'stage3.0.mlp.fc1.conv.weight', 0),
    },
}
"""Where the sizes that vary can be read, as `names.SIZES`, for each family."""


@dataclass(frozen=True)
class Backbone:
    """What `recognise` found: as `convert.Description`, and the tensors as in `names`."""

    family: str
    arch: str
    embed_dims: tuple
    mixer: Optional[str]
    mlp_ratio: float
    tensors: Iterator[tuple]
    layer_scale: bool = False


def size(state: Mapping[str, Tensor], place: tuple, naming: str, prefix: str = '') -> int:
    """Size at a place of `SIZES`; 0 if it cannot be read."""
    tensor = state.get(prefix + place[NAMINGS.index(naming)])
    return tensor.shape[place[2]] if isinstance(tensor, Tensor) and tensor.dim() > place[2] else 0


def recognise(state: Mapping[str, Tensor], naming: str, prefix: str = '', family: Optional[str] = None) -> Backbone:
    """Recognise a backbone.

    Args:
        state (Mapping[str, Tensor]): State dict.
        naming (str): Whose names it has, 'published' or 'mmsterf'.
        prefix (str): In front of the backbone's names.
        family (str, optional): One of `FAMILIES`; needed where 'mmsterf' names fit two.

    Raises:
        ValueError: If the family is needed and not given, not one of `FAMILIES`, or not that of the names.
    """
    found = _family(state, naming, prefix, family)
    sizes = {role: size(state, place, naming, prefix) for role, place in SIZES[found].items()}
    if found in ('MetaSDT', 'MetaSDTv2'):
        dims = tuple(sizes[role] for role in ('c0', 'c1', 'c2', 'c3'))
        ratio = sizes['hidden'] / dims[2] if dims[2] else 0
        if found == 'MetaSDTv2':
            tensors = names_lif.meta_sdt_v2(sizes['image'], dims, ratio)
            return Backbone(found, ARCH_DIMS_V2.get(dims, 'custom'), dims, 'ConvMixer', ratio, tensors)
        fc1, fc2 = (prefix + key in state for key in names.MIXER_KEYS[naming])
        mixer = 'MLPixer' if fc2 else 'SRB' if fc1 else 'ConvMixer'
        scaled = any('.layer_scale' in str(key) for key in state)
        tensors = names.meta_sdt_v3(sizes['image'], dims, mixer, ratio, scaled)
        return Backbone(found, names.ARCH_DIMS.get(dims, 'custom'), dims, mixer, ratio, tensors, scaled)

    image, channels = sizes['image'], sizes['channels']
    ratio = sizes['hidden'] / channels if channels else 0
    if found == 'QKFormer':
        depths = tuple(_depth(state, f'{prefix}stage{i}.') for i in (1, 2, 3))
        arch = f'{sum(depths)}-{channels}' if depths[:2] == (1, 2) else 'custom'
        dims = (channels // 4, channels // 2, channels)
        return Backbone(found, arch, dims, None, ratio, names_lif.qkformer(image, channels, depths, ratio))
    depth = _depth(state, prefix + ('block.' if naming == 'published' else 'blocks.'))
    if found == 'Spikformer':
        tensors = names_lif.spikformer(image, channels, depth, ratio)
    else:
        plif = any(str(key).endswith(('_lif.w', '.node.w')) for key in state)
        tensors = names_lif.spike_driven_transformer(image, channels, depth, ratio, sizes['heads'], plif)
    return Backbone(found, f'{depth}-{channels}', (channels,), None, ratio, tensors)


def _family(state: Mapping[str, Tensor], naming: str, prefix: str, asked: Optional[str]) -> str:
    if asked not in (None, *FAMILIES):
        raise ValueError(f'family must be one of {", ".join(FAMILIES)}, got {asked!r}')
    column = NAMINGS.index(naming)
    found = next(f for f, mark in MARKS.items() if not mark[column] or _starts(state, prefix + mark[column]))
    if found == 'Spikformer':
        twins = 'Spikformer', 'SpikeDrivenTransformer'
        if naming == 'published':
            # The attention of Spikformer has 1-d convolutions, that of SDT v1 2-d ones.
            query = state.get(f'{prefix}block.0.attn.q_conv.weight')
            found = twins[isinstance(query, Tensor) and query.dim() == 4]
        elif asked not in twins:
            raise ValueError(f'these names are those of {" and ".join(twins)} alike: give family, got {asked!r}')
        else:
            found = asked
    if asked not in (None, found):
        raise ValueError(f'family is {asked!r}, but the names are those of {found}')
    return found


def _starts(keys: Iterable, mark: str) -> bool:
    return any(str(key).startswith(mark) for key in keys)


def _depth(keys: Iterable, mark: str) -> int:
    """Number of blocks whose names begin with `mark`; at least 1, so that none at all is a lack."""
    return max(len({str(key).removeprefix(mark).split('.')[0] for key in keys if str(key).startswith(mark)}), 1)
