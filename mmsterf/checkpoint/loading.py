"""Published files where mmengine loads checkpoints, and an `init_cfg` that leaves nothing out silently.

Importing this module teaches mmengine's loaders of files and addresses the published names, and `hf://`, so that
`load_from`, `init_cfg`, `init_detector` and `init_model` take published files from anywhere; others load as before.
"""

import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

import torch
from mmengine.logging import print_log
from mmengine.model import BaseModule
from mmengine.model.weight_init import PretrainedInit, update_init_info
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from mmsterf.errors import InvalidInput

from .addresses import SCHEMES, local_file
from .convert import check_tensors, convert, drop_heads, is_published
from .damage import explained
from .io import data_set_meta, read, state_dict_of, weights_in


@CheckpointLoader.register_scheme(prefixes='', force=True)
def load_from_local(filename: str, map_location: Optional[str] = None) -> dict:
    """mmengine's loading of a local file; a published state dict comes with mmsterf's names, and nothing beside it.

    Raises:
        ValueError: If the names are published ones, but some are unknown or missing, or shapes are wrong.
    """
    file = local_file(filename)
    try:
        with explained(filename, file):
            if not Path(file).is_file():
                raise FileNotFoundError(f'{filename} can not be found.')
            # By ourselves: the onedl fork of mmengine reads what is not safe all the same, and runs the code in it.
            checkpoint = torch.load(file, map_location=map_location, weights_only=True)
    except InvalidInput as error:
        if not isinstance(error.__cause__, pickle.UnpicklingError):
            raise
        # An ImageNet checkpoint with its options, say: readable if nothing but the weights is wanted.
        checkpoint = read(filename, map_location)
        if not is_published(weights_in(checkpoint)):
            raise
    if isinstance(checkpoint, Mapping):
        state_dict_of(checkpoint)  # or mmengine would load nothing
    weights = weights_in(checkpoint)
    if not is_published(weights):
        return checkpoint
    state, description = convert(weights)
    print_log(f'{filename} has published names: {description}', logger='current')
    return {'state_dict': state, 'meta': data_set_meta(checkpoint)}


@CheckpointLoader.register_scheme(prefixes=SCHEMES, force=True)
def load_from_address(filename: str, map_location: Optional[str] = None) -> dict:
    """As `load_from_local`, after the file was fetched (see `local_file`).

    Raises:
        ValueError: As there, or if the file cannot be fetched.
    """
    return load_from_local(filename, map_location)


def load_pretrained(
    module: nn.Module, checkpoint: str, prefix: Optional[str] = None, map_location: str = 'cpu'
) -> None:
    """Load a converted or published checkpoint into a module, completely; classifier heads are left out and logged.

    Args:
        module (nn.Module): A backbone.
        checkpoint (str): File or address, see `local_file`.
        prefix (str, optional): Part of the checkpoint to load, for example 'backbone.' of a detector.
        map_location (str): Where tensors are read to.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read safely, or does not fit the module; the message lists all unknown,
            missing and misshapen tensors.
    """
    state = {key.removeprefix('module.'): value for key, value in state_dict_of(read(checkpoint, map_location)).items()}
    what = f'{checkpoint} does not fit {type(module).__name__}'
    if prefix is not None:
        prefix = prefix.rstrip('.') + '.'
        tops = {key.split('.')[0] for key in state}
        if prefix == 'backbone.' and is_published(state) and not any(key.startswith(prefix) for key in state):
            state = {prefix + key: value for key, value in drop_heads(state)[0].items()}  # a published classifier
        state = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if not state:
            raise ValueError(f'{what}: no names in it start with {prefix!r}, but with {", ".join(sorted(tops))}')
    elif any(key.startswith('backbone.') for key in state):
        raise ValueError(f"{what}: it holds a whole model; for its backbone give init_cfg the prefix='backbone.'")
    unused = ()
    state, heads = drop_heads(state)
    if is_published(state):
        state, description = convert(state)
        unused = description.left_out
        what = f'{what}: it has {description}'
    built = without(state, getattr(module, 'unbuilt', ()))
    check_tensors(built, {key: tuple(value.shape) for key, value in module.state_dict().items()}, what)
    module.load_state_dict(OrderedDict(state), strict=True)
    left_out = f'; left out: {", ".join([*heads, *unused])}' if heads or unused else ''
    print_log(f'loaded all {len(built)} tensors from {checkpoint}{left_out}', logger='current')


def without(state: dict, modules: tuple, prefix: str = '') -> dict:
    """`state` without the tensors of some modules, given by their names below `prefix`."""
    prefixes = tuple(f'{prefix}{name}.' for name in modules)
    return {key: value for key, value in state.items() if not key.startswith(prefixes)}


class ExactPretrained(PretrainedInit):
    """mmengine's 'Pretrained' initialiser by `load_pretrained`."""

    def __call__(self, module: nn.Module) -> None:
        load_pretrained(module, self.checkpoint, self.prefix, self.map_location)
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())


class PretrainedModule(BaseModule):
    """BaseModule whose ``init_cfg=dict(type='Pretrained', ...)`` takes published files too, and loads all or fails.

    Attributes:
        unbuilt (tuple[str]): Names of modules that this one leaves out of what there could be; tensors that a state
            dict has for them are left out too, with a line.
    """

    unbuilt: tuple = ()

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *args) -> None:
        extra = set(state_dict) - set(without(state_dict, self.unbuilt, prefix))
        for key in extra:
            del state_dict[key]  # of a copy that torch and mmengine make
        if extra:
            print_log(
                f'{len(extra)} tensors of a checkpoint are of {", ".join(self.unbuilt)}, which '
                f'{type(self).__name__} does not build (out_indices): left out',
                logger='current',
            )
        super()._load_from_state_dict(state_dict, prefix, *args)

    def init_weights(self) -> None:
        """Initialise as `init_cfg` says, checkpoints last."""
        cfgs = [self.init_cfg] if isinstance(self.init_cfg, dict) else list(self.init_cfg or ())
        exact = [{**cfg, 'type': ExactPretrained} for cfg in cfgs if cfg['type'] in ('Pretrained', PretrainedInit)]
        if exact:
            self.init_cfg = [cfg for cfg in cfgs if cfg['type'] not in ('Pretrained', PretrainedInit)] + exact
        super().init_weights()
