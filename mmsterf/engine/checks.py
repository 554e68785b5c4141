"""Whether model, data set and checkpoint belong together, asked before work starts."""

from contextlib import contextmanager
from pathlib import Path
from typing import Optional

import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from mmsterf.checkpoint import convert, is_address, is_of_mmengine, is_published, state_dict_of
from mmsterf.checkpoint.convert import check_tensors
from mmsterf.errors import InvalidInput

from .checkpoints import read_checkpoint
from .dataset_parts import SPLITS, dataset_leaves
from .device import notice


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside the wrappers for several processes or test-time augmentation."""
    while hasattr(model, 'module'):
        model = model.module
    return model


def check_model(model: nn.Module) -> None:
    """Refuse a model whose strides or time steps disagree with its spiking backbone's.

    Raises:
        ValueError: Names both.
    """
    model = unwrapped(model)
    std = getattr(getattr(model, 'data_preprocessor', None), 'std', None)
    if isinstance(std, torch.Tensor) and not (std > 0).all():
        raise InvalidInput(f'std of model.data_preprocessor must be above 0, got {std.flatten().tolist()}')
    if hasattr(getattr(model, 'backbone', None), 'out_strides'):
        from mmsterf.models.strides import check_strides
        from mmsterf.models.time_steps import check_time_steps

        check_strides(model)
        check_time_steps(model)


def _state(checkpoint: str) -> dict:
    """Tensors of a file by our names."""
    state = {key.removeprefix('module.'): value for key, value in state_dict_of(read_checkpoint(checkpoint)).items()}
    return convert(state)[0] if is_published(state) else state


def check_weights(model: nn.Module, checkpoint: str) -> None:
    """Refuse a checkpoint that leaves a part of the model at random; mmengine tests with it and logs a list.

    Args:
        model (nn.Module): Model, with or without wrappers.
        checkpoint (str): File or address, published or ours; `s3://` and the like are left to mmengine.

    Raises:
        ValueError: Lists all tensors that are missing or of another shape, and those that nothing takes.
    """
    if is_of_mmengine(checkpoint):
        return
    state = _state(checkpoint)
    model = unwrapped(model)
    shapes = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    # Counts of batches say nothing here, and old files have none.
    needed = {key: shape for key, shape in shapes.items() if not key.endswith('num_batches_tracked')}
    if all(key in state and tuple(state[key].shape) == shape for key, shape in needed.items()):
        return
    check_tensors(state, shapes, f'{checkpoint} does not fit the {type(model).__name__} of the config')


def check_classes(model: nn.Module, cfg: Config) -> None:
    """Refuse heads whose `num_classes` is not the number of classes of a data set of the config, of any split.

    Raises:
        InvalidInput: Names the head and the data set.
    """
    from .data_checks import class_names, dataset_class

    for split in SPLITS:
        loader = cfg.get(f'{split}_dataloader')
        for leaf in dataset_leaves(loader['dataset']) if isinstance(loader, dict) else ():
            kind = dataset_class(leaf, cfg.default_scope)
            classes = class_names(leaf, kind)[0] if kind is not None else None
            if isinstance(classes, (list, tuple)):
                _compare_counts(model, classes, f'{split}_dataloader')


def _compare_counts(model: nn.Module, classes, name: str) -> None:
    from mmsterf.models.time_steps import heads

    for key, module in heads(unwrapped(model)):
        # Proposals have no class.
        found = None if key.endswith('rpn_head') else getattr(module, 'num_classes', None)
        if found is not None and found != len(classes):
            raise InvalidInput(
                f'{key}.num_classes is {found}, but the data set of {name} has {len(classes)} classes '
                f'({", ".join(classes[:3])}{", ..." * (len(classes) > 3)}): they must be the same'
            )


def check_start(model: nn.Module, checkpoint: Optional[str], resume: bool) -> None:
    """Look at the weights that a training starts from: resumed ones must fit, others may leave parts out, said.

    Args:
        model (nn.Module): Model, with or without wrappers.
        checkpoint (str, optional): `load_from`, as for `check_weights`.
        resume (bool): Whether training goes on from it.

    Raises:
        ValueError: If a resumed checkpoint does not fit, or nothing in another one does.
    """
    if not checkpoint or is_of_mmengine(checkpoint):
        return
    if resume:
        return check_weights(model, checkpoint)
    state = _state(checkpoint)
    shapes = {key: tuple(value.shape) for key, value in unwrapped(model).state_dict().items()}
    counted = {key for key in shapes if not key.endswith('num_batches_tracked')}
    fitting = {key for key in counted & set(state) if tuple(state[key].shape) == shapes[key]}
    if not fitting:
        check_tensors(state, shapes, f'load_from={checkpoint} fits nothing in the {type(unwrapped(model)).__name__}')
    if fitting == counted:
        return
    lists = {
        'not in it': sorted(counted - set(state)),
        'of another shape in it': sorted((counted & set(state)) - fitting),
    }
    text = '; '.join(f'{len(keys)} {what} ({", ".join(_places(keys))})' for what, keys in lists.items() if keys)
    notice(
        f'load_from={checkpoint}: {len(fitting)} of {len(counted)} tensors are loaded, the others start at random: '
        f'{text}'
    )


def _places(keys: list, most: int = 12) -> list:
    """Names of tensors, or if there are many, of the modules that hold all of them."""
    names = list(keys)
    for depth in (4, 3, 2, 1):
        if len(names) <= most:
            break
        names = list(dict.fromkeys('.'.join(key.split('.')[:depth]) for key in keys))
    return names


@contextmanager
def still_there(checkpoint: str):
    """Explain a checkpoint that went away while it was tested."""
    try:
        yield
    except FileNotFoundError as error:
        if is_address(checkpoint) or is_of_mmengine(checkpoint) or Path(checkpoint).exists():
            raise
        raise InvalidInput(
            f'checkpoint {checkpoint} was there when testing began and is gone: a training that writes to its folder '
            'removes old ones (default_hooks.checkpoint.max_keep_ckpts); test a later one, or a copy'
        ) from error


class ClassCountHook(Hook):
    """Refuses heads whose `num_classes` is not the number of classes of the data set, before they meet its labels."""

    def _check(self, runner: Runner, loader, name: str) -> None:
        classes = (getattr(loader.dataset, 'metainfo', None) or {}).get('classes')
        if classes is not None:
            _compare_counts(runner.model, classes, name)

    def before_train(self, runner: Runner) -> None:
        """Check against the training set."""
        self._check(runner, runner.train_dataloader, 'train_dataloader')

    def before_val_epoch(self, runner: Runner) -> None:
        """Check against the validation set."""
        self._check(runner, runner.val_dataloader, 'val_dataloader')

    def before_test_epoch(self, runner: Runner) -> None:
        """Check against the test set."""
        self._check(runner, runner.test_dataloader, 'test_dataloader')
