"""Gains of zero: norms and layer scales that let nothing through, as fresh residual branches have them."""

import copy
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Optional

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from .inputs import pack, samples_of
from .state import reset_neurons, untouched

_SCALING = {
    'mul', 'mul_', '__mul__', '__rmul__', '__imul__', 'multiply', 'multiply_', 'addcmul', 'addcmul_',
    'batch_norm', 'group_norm', 'instance_norm', 'layer_norm', 'rms_norm',
}  # fmt: skip


class ZeroGains(TorchFunctionMode):
    """Context that finds the parameters, all zero, with which norms and products scale what passes through them.

    Attributes:
        nodes: Of each, by name, the autograd nodes of the scaled tensors (None without a graph).
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.nodes: dict[str, list] = {}
        # a bias of zeros is added, and blocks nothing
        names = [(n, p) for n, p in model.named_parameters() if p.is_floating_point() and not n.endswith('bias')]
        self._names = {_place(p): n for n, p in names if p.numel() and not p.flatten()[0] and not p.any()}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        """Run a function, and look at its operands if it scales."""
        out = func(*args, **(kwargs or {}))
        if getattr(func, '__name__', '') in _SCALING and isinstance(out, Tensor):
            for operand in (*args, *(kwargs or {}).values()):
                if isinstance(operand, Tensor) and (name := self._names.get(_place(operand))):
                    self.nodes.setdefault(name, []).append(out.grad_fn)
        return out

    def upstream(self, edges: Iterable) -> list[str]:
        """Return the names of those that scale what the outputs of `edges` are made of."""
        seen, todo = set(), [edge.node for edge in edges]
        while todo:
            node = todo.pop()
            if node is not None and node not in seen:
                seen.add(node)
                todo += [n for n, _ in node.next_functions]
        return [name for name, nodes in self.nodes.items() if any(n in seen for n in nodes if n is not None)]


def _place(tensor: Tensor) -> tuple:
    """Where the first number of a tensor is: the same for views that broadcast it."""
    try:
        return tensor.untyped_storage().data_ptr(), tensor.storage_offset()
    except (NotImplementedError, RuntimeError):  # wrappers without storage
        return id(tensor), 0


@contextmanager
def zero_gains(model: nn.Module) -> Iterator[ZeroGains]:
    """Watch a model's zero gains; nothing is watched where it has none."""
    gains = ZeroGains(model)
    if not gains._names:
        yield gains
        return
    with gains:
        yield gains


def raise_gains(model: nn.Module, run: Callable[[], object]) -> list[str]:
    """Put ones in place of the zero gains that a run of a model meets; return their names.

    Parameters are replaced, not written to: inside `untouched`, the model gets its own back.
    """
    with torch.no_grad(), zero_gains(model) as gains:
        run()
    for name in gains.nodes:
        parent, _, own = name.rpartition('.')
        zero = model.get_parameter(name)
        one = nn.Parameter(torch.ones_like(zero), zero.requires_grad)
        model.get_submodule(parent)._parameters[own] = one
        for module in model.modules():  # shared ones
            module._parameters.update({k: one for k, p in module._parameters.items() if p is zero})
    return list(gains.nodes)


def with_unit_gains(
    model: nn.Module,
    inputs: Iterable,
    *,
    time_steps: int = 1,
    input_time: str = 'auto',
    forward: Optional[Callable[[nn.Module, Tensor], object]] = None,
) -> tuple[nn.Module, list[str]]:
    """Return a copy of a model with ones in place of its zero gains, and their names; the model is left as found.

    Residual branches of fresh networks often end in a norm with gains of zero, and then pass nothing: receptive fields
    are those of the skip paths, at every stage that of the stem.

    Args:
        model: Any module.
        inputs: See `st_erf`; the first is run.
        time_steps, input_time, forward: See `st_erf`.
    """
    samples, _, input_time = samples_of(inputs, input_time, time_steps)
    sample = next(samples)
    with untouched(model) as bare:
        reset_neurons(bare)
        bare = copy.deepcopy(bare)
        like = next((p for p in bare.parameters() if p.is_floating_point()), torch.empty(0))
        x = pack([sample], input_time, like).detach()
        names = raise_gains(bare, lambda: bare(x) if forward is None else forward(bare, x))
        reset_neurons(bare)
    return bare, names


def about_zero(names: list[str]) -> str:
    """What a reader of a map has to know about zero gains in front of its layer."""
    what = f'{len(names)} gains are zero' if len(names) > 1 else 'a gain is zero'
    return (
        f'{what}, as fresh residual branches have them ({shortened(names)}): the maps show the paths around those '
        'branches alone; unit_gains=True (--unit-gains) takes such gains as 1'
    )


def about_raised(names: list[str]) -> str:
    """What a reader of a map has to know about gains that were raised."""
    return f'the gains that are zero are taken as 1: {shortened(names)}'


def shortened(names: list[str], most: int = 2) -> str:
    """A few names, and how many more there are."""
    return ', '.join(names[:most]) + (f' and {len(names) - most} more' if len(names) > most else '')
