"""Published state dicts to mmsterf's, and back: pure functions on dictionaries."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Optional

import torch
from torch import Tensor

from . import names, names_lif
from .families import recognise, size

HEADS = ('head', 'head_kd', 'head_lif')
"""Classifiers of ImageNet models, and the neuron in front, by their published names."""


@dataclass(frozen=True)
class Description:
    """What `convert` found.

    Attributes:
        model (str): 'backbone', 'classifier', 'detector' or 'segmentor'.
        arch (str): Name of the architecture, L-C (blocks and channels) for the plain Transformers, or 'custom'.
        embed_dims (tuple[int]): (C0, C1, C2, C3); of fewer stages, as many.
        mixer (str, optional): 'ConvMixer', 'MLPixer' or 'SRB'; None where there are no mixers.
        mlp_ratio (float): e.
        tensors (int): Number of tensors of the state dict.
        family (str): Name of the backbone in `mmsterf.models`.
        left_out (tuple[str]): Published tensors that no model uses, and that therefore have no name here.
        layer_scale (str): 'folded' if there were layer scales, which are in the norms now.
    """

    model: str
    arch: str
    embed_dims: tuple
    mixer: Optional[str]
    mlp_ratio: float
    tensors: int
    family: str
    left_out: tuple = ()
    layer_scale: str = ''

    def __str__(self) -> str:
        fields = {**vars(self), 'mlp_ratio': f'{self.mlp_ratio:g}', 'left_out': ' '.join(self.left_out)}
        return ', '.join(f'{key} {value}' for key, value in fields.items() if value)


def is_published(keys: Iterable) -> bool:
    """Whether names are those of a published model, whole or in part; a `module.` in front does not matter."""
    tops = 'downsample1_', 'ConvBlock1_', 'ConvBlock2_', 'patch_embed.proj_', 'patch_embed1.proj_'
    return _any_starts_with(keys, tops)


def drop_heads(state_dict: Mapping[str, Tensor]) -> tuple:
    """Leave out the classifier heads: the rest of a state dict, and the names left out."""
    dropped = [key for key in state_dict if _bare(key).split('.')[0] in HEADS]
    rest = OrderedDict((key, value) for key, value in state_dict.items() if key not in dropped)
    if dropped and all(key.startswith('backbone.') for key in rest):  # a classifier by the names here
        rest = OrderedDict((key.removeprefix('backbone.'), value) for key, value in rest.items())
    return rest, dropped


def convert(state_dict: Mapping[str, Tensor]) -> tuple:
    """Map a published state dict to mmsterf's names.

    Tensors are passed on, not copied, but for q, k and v, which are joined, and for norms that a layer scale follows,
    which take it in: the function is the same, and its gradients follow by the chain rule. Those that the public code
    holds but never uses are left out, and named by the description: nothing brings them back.

    Args:
        state_dict (Mapping[str, Tensor]): Backbone, ImageNet classifier, detector or segmentor by published names,
            with or without a `module.` in front.

    Returns:
        tuple[OrderedDict[str, Tensor], Description]: The state dict by mmsterf's names, and what it is.

    Raises:
        ValueError: If names are unknown or missing, or shapes wrong; the message lists them all.
    """
    bare = {_bare(key): value for key, value in state_dict.items()}
    if len(bare) < len(state_dict):
        raise ValueError('some names of this state dict are there twice, with and without `module.` in front')
    if not is_published(bare) and _any_starts_with(bare, ('stem.', 'stage1a.')):
        raise ValueError("this state dict has mmsterf's names already; to_published (--to-published) goes back")
    description, groups = _expect(bare, 'published')
    unused = groups.pop(None, ())
    shapes = {name: shape for parts in groups.values() for name, shape in parts}
    shapes.update((name, shape) for name, shape in unused if name in bare)
    check_tensors(bare, shapes, f'not a published {_summary(description)}')
    state = OrderedDict((ours, _join(ours, [bare[name] for name, _ in parts])) for ours, parts in groups.items())
    _fold_layer_scales(state)
    return state, description


def to_published(
    state_dict: Mapping[str, Tensor], family: Optional[str] = None, layer_scale: bool = False
) -> OrderedDict:
    """Inverse of `convert`, up to the tensors that it leaves out: mmsterf's names to the published ones.

    Args:
        state_dict (Mapping[str, Tensor]): State dict by mmsterf's names; or its parameters alone, or anything with
            their names and shapes such as gradients: then nothing stands for the batch statistics.
        family (str, optional): Name of the backbone in `mmsterf.models`; needed for Spikformer and
            SpikeDrivenTransformer, which have the same names and shapes here.
        layer_scale (bool): Write layer scales of one into the attention blocks of Meta-SDT, which the published
            segmentor with the convolutional mixer wants to load.

    Raises:
        ValueError: If the family is needed and not given, or not that of the names; if names are unknown or missing, or
            shapes wrong: the message lists them all. Mixers of layout 'pointwise' have no published names.
    """
    if is_published(state_dict):
        raise ValueError('this state dict has the published names already')
    if layer_scale:
        state_dict = _with_layer_scales(state_dict)
    description, groups = _expect(state_dict, 'mmsterf', family)
    groups.pop(None, None)
    if not any(_is_statistic(key) for key in state_dict):
        groups = {ours: parts for ours, parts in groups.items() if not _is_statistic(ours)}
    shapes = {ours: _joined_shape([shape for _, shape in parts]) for ours, parts in groups.items()}
    check_tensors(state_dict, shapes, f'no published model has these tensors, taken for a {_summary(description)}')
    published = OrderedDict()
    for ours, parts in groups.items():
        value = state_dict[ours]
        pieces = value.split([shape[0] for _, shape in parts]) if value.dim() else [value] * len(parts)
        for (name, shape), piece in zip(parts, pieces):
            published[name] = piece.reshape(shape).clone()  # a view would be saved with all that it is a view of
    return published


def _bare(key: str) -> str:
    return key.removeprefix('module.') if isinstance(key, str) else key


def _any_starts_with(keys: Iterable, tops: tuple) -> bool:
    return any(_bare(str(key)).removeprefix('backbone.').startswith(tops) for key in keys)


def _is_statistic(key: str) -> bool:
    return str(key).endswith(('.running_mean', '.running_var', '.num_batches_tracked'))


def _summary(description: Description) -> str:
    design = description.mixer if description.family == 'MetaSDT' else description.family
    return f'{description.model} (embed_dims {description.embed_dims}, {design}, e {description.mlp_ratio:g})'


def _model_kind(keys: Iterable) -> str:
    tops = {str(key).split('.', 1)[0] for key in keys}
    if tops & {'rpn_head', 'roi_head'}:
        return 'detector'
    if 'decode_head' in tops:
        return 'segmentor'
    return 'classifier' if tops & set(HEADS) else 'backbone'


def _expect(state: Mapping[str, Tensor], naming: str, family: Optional[str] = None) -> tuple:
    """What a state dict is, judged by a few of its tensors, and what it then has to hold.

    Returns:
        tuple[Description, dict]: The description, and name here -> [(published name, published shape), ...], None for
        what has no name here. Sizes that cannot be read count as 0: some tensor is missing or has a wrong shape then.
    """
    kind = _model_kind(state)
    whole = kind in ('detector', 'segmentor')
    # Published classifiers are backbones with a head beside their parts; here they have the two parts of mmpretrain's.
    theirs, here = 'backbone.' if whole else '', '' if kind == 'backbone' else 'backbone.'
    found = recognise(state, naming, theirs if naming == 'published' else here, family)
    dims = found.embed_dims
    lif = kind == 'segmentor' and found.family == 'MetaSDTv2'
    places = names.SIZES['LIF segmentor' if lif else kind] if kind != 'backbone' else {}
    sizes = {role: size(state, place, naming) for role, place in places.items()}
    groups = OrderedDict()
    for published, ours, shape in found.tensors:
        groups.setdefault(ours and here + ours, []).append((theirs + published, shape))
    if kind == 'classifier':
        rest = names.classifier_heads(dims[-1], sizes['classes'], state, naming)
    elif whole:
        if len(dims) != 4:
            raise ValueError(f'no published {kind} has {found.family} as its backbone, but MetaSDT or MetaSDTv2')
        if lif:
            rest = names_lif.semantic_fpn(dims, **sizes, state=state, naming=naming)
        else:
            table = names.mask_rcnn if kind == 'detector' else names.semantic_fpn
            rest = table(dims, sizes['width'], sizes['classes'])
    else:
        rest = ()
    for published, ours, shape in rest:
        groups.setdefault(ours, []).append((published, shape))
    left_out = tuple(name for name, _ in groups.get(None, ()) if name in state)
    description = Description(kind, found.arch, dims, found.mixer, found.mlp_ratio, len(state), found.family, left_out)
    if found.layer_scale and naming == 'published':
        description = replace(description, layer_scale='folded')
    return description, groups


def check_tensors(state: Mapping[str, Tensor], shapes: Mapping[str, tuple], what: str) -> None:
    """Raise a ValueError that lists all differences between a state dict and the expected shapes."""
    unknown = [str(key) for key in state if key not in shapes]
    missing = [key for key in shapes if key not in state]
    wrong = []
    for key in (key for key in shapes if key in state):
        value, shape = state[key], shapes[key]
        if not isinstance(value, Tensor):
            wrong.append(f'{key} is no tensor but {type(value).__name__}')
            continue
        found = tuple(value.shape)
        # A size of 0 could not be read, because its tensor is missing.
        fits = (size == real or (missing and size == 0) for size, real in zip(shape, found))
        if len(found) != len(shape) or not all(fits):
            wrong.append(f'{key} is {found}, expected {shape}')
    problems = {'unknown': unknown, 'missing': missing, 'wrong shape': wrong}
    if any(problems.values()):
        lists = [f'{problem} ({len(found)}): {", ".join(found)}' for problem, found in problems.items() if found]
        raise ValueError('\n  '.join([what, *lists]))


_LAST_NORM = {'sepconv': 'pw2.norm', 'attn': 'proj.norm', 'mlp': 'fc2.norm'}
"""The norm that ends a branch of an attention block."""


def _fold_layer_scales(state: OrderedDict) -> None:
    """Multiply the norm in front of each layer scale by it, in place."""
    for key in [key for key in state if key.endswith('.layer_scale')]:
        scale, branch = state.pop(key), key.removesuffix('.layer_scale')
        for leaf in ('weight', 'bias'):
            name = f'{branch}.{_LAST_NORM[branch.rpartition(".")[2]]}.{leaf}'
            state[name] = state[name] * scale


def _with_layer_scales(state: Mapping[str, Tensor]) -> OrderedDict:
    """A layer scale of one behind each branch of the attention blocks of Meta-SDT."""
    state = OrderedDict(state)
    for key in list(state):
        branch, _, norm = key.removesuffix('.weight').partition('.proj.norm')
        if key.endswith('.attn.proj.norm.weight') and not norm:
            block = branch.removesuffix('.attn')
            state.update({f'{block}.{name}.layer_scale': torch.ones_like(state[key]) for name in _LAST_NORM})
    return state


def _join(name: str, pieces: list) -> Tensor:
    first = pieces[0]
    if len(pieces) > 1:
        if any(piece.dtype != first.dtype or (not piece.dim() and piece != first) for piece in pieces):
            raise ValueError(f'q, k and v cannot be one {name}: they differ in type, or in the count of batches')
        first = torch.cat(pieces) if first.dim() else first
    return first.unsqueeze(-1) if first.dim() == 3 else first


def _joined_shape(shapes: list) -> tuple:
    if not shapes[0]:
        return ()
    shape = (sum(shape[0] for shape in shapes), *shapes[0][1:])
    return (*shape, 1) if len(shape) == 3 else shape
