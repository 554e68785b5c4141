"""Training stops where losses are no longer finite, before a step is taken, and says where that began."""

from math import isnan
from typing import Optional

import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from torch import Tensor, nn

from mmsterf.engine.sampling import seed_everything
from mmsterf.errors import InvalidInput
from mmsterf.registry import HOOKS


@HOOKS.register_module()
class FiniteHook(Hook):
    """Refuses losses and weights that are not finite; warns of metrics and predictions that are not.

    Losses are looked at before the backward pass, one number per iteration, so that weights stay as they were. Only if
    one is not finite is the forward pass run again on the same batch with the same seed, to find the first layer whose
    output is not. Gradients are not looked at: a GradScaler has infinite ones and skips their step. Weights that a step
    made infinite show in the losses of the next iteration, and are not saved before that, see `check_finite`.

    With several processes all stop together, with the words of the first that found something.

    Raises:
        InvalidInput: Names iteration, losses, layer, and the checkpoint that is kept.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._batch = self._model = None
        self._said = set()

    def before_train(self, runner) -> None:
        """Check the weights to start from, and look at losses from now on."""
        model = _unwrapped(runner.model)
        check_finite(model, 'before training', '')
        if not hasattr(model, 'parse_losses'):
            return
        parse = model.parse_losses

        def parse_losses(losses, *args, **kwargs):
            parsed = parse(losses, *args, **kwargs)
            self._check(runner, model, *parsed)
            return parsed

        self._model = model
        model.parse_losses = parse_losses

    def before_train_iter(self, runner, batch_idx: int, data_batch=None) -> None:
        """Keep the batch for `_check`."""
        self._batch = data_batch

    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Let the batch go."""
        self._batch = None

    def after_train(self, runner) -> None:
        """Leave the model as it was."""
        if self._model is not None:
            del self._model.parse_losses
        self._batch = self._model = None

    def before_test(self, runner) -> None:
        """Check the weights that are tested."""
        check_finite(_unwrapped(runner.model), 'before testing', '')

    def after_val_epoch(self, runner, metrics: Optional[dict] = None) -> None:
        """Warn of metrics that say nothing."""
        for name, value in (metrics or {}).items():
            # COCO's -1 of one size of objects is common; of all sizes it means that there was nothing to find.
            if isinstance(value, float) and (isnan(value) or (value == -1 and name.endswith(('mAP', 'AR@100')))):
                why = 'nothing of that kind is annotated in the data set' if value == -1 else 'it is not a number'
                print_log(f'{name} is {value:g}: {why}, so it says nothing', logger='current', level=_WARNING)

    after_test_epoch = after_val_epoch

    def after_val_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Warn of predictions that are not finite, once."""
        for sample in outputs or ():
            for name in ('seg_logits', 'pred_instances'):
                found = getattr(sample, name, None)
                values = found.values() if found is not None else ()
                if name not in self._said and any(_broken(v) for v in values if isinstance(v, Tensor)):
                    self._said.add(name)
                    image = getattr(sample, 'img_path', 'an image')
                    print_log(f'{name} of {image} are not finite', logger='current', level=_WARNING)

    after_test_iter = after_val_iter

    def _check(self, runner, model: nn.Module, loss: Tensor, log_vars: dict) -> None:
        good = loss.detach().isfinite().all().to(torch.uint8)
        if get_world_size() > 1:
            all_reduce(good, 'min')
        if good:
            return
        bad = {name: float(value) for name, value in log_vars.items() if not _finite_number(value)}
        where = _first_broken(runner, model, self._batch)
        said = f'{", ".join(f"{name} {value:g}" for name, value in bad.items())}: {where}' if bad else None
        said = next((words for words in all_gather_object(said) if words), f'loss is not finite: {where}')
        raise InvalidInput(f'iteration {runner.iter + 1}: losses are not finite, {said}; {kept(runner)}')


def check_finite(model: nn.Module, when: str, kept: str = '') -> None:
    """Refuse weights and statistics that are not finite.

    Raises:
        InvalidInput: Names the first tensor, and counts the others.
    """
    if broken := _broken_tensors(model):
        more = f' and {len(broken) - 1} more' if len(broken) > 1 else ''
        raise InvalidInput(f'{when}: {broken[0]}{more} of the model are not finite{kept and f"; {kept}"}')


_WARNING = 30  # logging.WARNING


def _broken(tensor: Tensor) -> bool:
    # One pass and no map of booleans; a sum that overflows is looked at again.
    return tensor.is_floating_point() and not tensor.sum().isfinite() and not bool(tensor.isfinite().all())


def _broken_tensors(model: nn.Module) -> list:
    return [name for name, tensor in model.state_dict(keep_vars=True).items() if _broken(tensor.detach())]


def _finite_number(value) -> bool:
    return not isinstance(value, (int, float, Tensor)) or bool(torch.as_tensor(value).isfinite().all())


def _unwrapped(model: nn.Module) -> nn.Module:
    while hasattr(model, 'module'):
        model = model.module
    return model


def _tensors(value) -> list:
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    return [t for item in value for t in _tensors(item)] if isinstance(value, (list, tuple, type({}.values()))) else []


class _Found(Exception):
    pass


@torch.no_grad()
def _first_broken(runner, model: nn.Module, batch) -> str:
    """Where a forward pass on a batch first stops being finite, in words."""
    # Not the statistics of norms: the pass that failed has updated them.
    if broken := [name for name, weight in model.named_parameters() if _broken(weight)]:
        more = f' and {len(broken) - 1} more tensors' if len(broken) > 1 else ''
        return f'the weights {broken[0]}{more} are not finite already, after the step before'
    seed_everything(runner.seed, get_rank(), runner.iter)
    names = {module: name for name, module in model.named_modules()}

    def look(module, inputs, output) -> None:
        if any(_broken(t) for t in _tensors(output)):
            raise _Found(f'{names[module] or type(module).__name__} ({type(module).__name__})')

    handles = []
    try:
        with runner.optim_wrapper.optim_context(model):
            data = model.data_preprocessor(batch, True)
            if any(_broken(t) for t in _tensors(data.get('inputs'))):
                return "the input is not finite already, as the data preprocessor's mean and std make it"
            handles = [module.register_forward_hook(look) for module in model.modules() if module is not model]
            model._run_forward(data, mode='loss')
    except _Found as found:
        return f'the first layer whose output is not finite is {found}, weights and input are finite'
    finally:
        for handle in handles:
            handle.remove()
    return 'every layer has finite outputs, so it is the losses alone'


def kept(runner) -> str:
    """Which checkpoint a training that stops leaves."""
    from mmsterf.engine.resuming import find_checkpoint

    path = find_checkpoint(runner.work_dir)
    return f'{path} is kept' if path else f'no checkpoint was written to {runner.work_dir} before'
