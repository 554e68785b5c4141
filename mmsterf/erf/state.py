"""Look at a model and leave it as it was found."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

_CHECKPOINTING = ('with_cp', 'use_checkpoint', 'grad_checkpointing', 'gradient_checkpointing')
"""Switches for activation checkpointing, which does not work with gradients of the input alone."""
_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def unwrap(model: nn.Module) -> nn.Module:
    """Return the model inside (nested) data-parallel wrappers, mmengine's included."""
    while isinstance(model, _WRAPPERS):
        model = model.module
    return model


def reset_neurons(model: nn.Module) -> None:
    """Reset the modules that keep a state between calls (spikingjelly's `MemoryModule`, known by its `_memories`)."""
    for module in model.modules():
        if hasattr(module, '_memories') and callable(getattr(module, 'reset', None)):
            module.reset()


def _contents(container) -> list:
    return list(container.items()) if isinstance(container, dict) else list(container)


def _refill(container, items: list) -> None:
    now = _contents(container)
    if len(now) == len(items) and all(a is b or _same_pair(a, b) for a, b in zip(now, items)):
        return
    container.clear()
    container.update(items) if isinstance(container, (dict, set)) else container.extend(items)


def _same_pair(a, b) -> bool:
    # items() makes new tuples on every call, so identity has to be looked for inside
    return type(a) is tuple and type(b) is tuple and len(a) == len(b) == 2 and a[0] is b[0] and a[1] is b[1]


class _ModuleSnapshot:
    """Attributes of one module, the contents of its dicts, lists and sets, and the values of its tensors."""

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.attributes = dict(vars(module))
        self.containers = [(c, _contents(c)) for c in self.attributes.values() if isinstance(c, (dict, list, set))]
        held = list(self.attributes.values())
        held += [v for c, _ in self.containers for v in (c.values() if isinstance(c, dict) else c)]
        self.tensors = [
            (t, t.detach().clone()) for t in held if isinstance(t, torch.Tensor) and not isinstance(t, nn.Parameter)
        ]

    def restore(self) -> None:
        # vars() instead of setattr: spikingjelly and mmengine intercept attribute assignment
        vars(self.module).clear()
        vars(self.module).update(self.attributes)
        for container, items in self.containers:
            _refill(container, items)
        for tensor, value in self.tensors:
            if not torch.equal(tensor, value):
                tensor.detach().copy_(value)


@contextmanager
def same_randomness() -> Iterator[None]:
    """Put the random generators of Python, NumPy and torch (CPU, CUDA) back to their states on the way out."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    python, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy_state)


@contextmanager
def untouched(model: nn.Module) -> Iterator[nn.Module]:
    """Give the bare model for any use and put everything back on the way out, also after an error or Ctrl-C.

    Inside, the model is in evaluation mode, its parameters ask for no gradient, and nested data-parallel wrappers are
    taken out (their forward pass may broadcast buffers, which would wait for the other ranks). Put back are: hooks,
    the training flag of every module, plain attributes, buffers, neuron states, `requires_grad`, `.grad`, and the
    random generators (`same_randomness`).
    """
    wrapped, model = model, unwrap(model)
    modules = [_ModuleSnapshot(m) for m in wrapped.modules()]
    parameters = [(p, p.requires_grad, p.grad) for p in wrapped.parameters()]
    try:
        with same_randomness():
            for parent in list(model.modules()):
                switches = {k: False for k in _CHECKPOINTING if vars(parent).get(k) is True}
                vars(parent).update(switches)
                for name, child in parent._modules.items():
                    if child is not None and unwrap(child) is not child:
                        parent._modules[name] = unwrap(child)
                if hasattr(parent, '_memories'):  # reset() detaches and overwrites states in place: lend it copies
                    copies = {k: v.detach().clone() for k, v in parent._memories.items() if torch.is_tensor(v)}
                    parent._memories.update(copies)
            for p, _, _ in parameters:
                p.requires_grad_(False)
            model.eval()  # not chained: most stock backbones return nothing
            yield model
    finally:
        for snapshot in modules:
            snapshot.restore()
        for p, requires_grad, grad in parameters:
            p.requires_grad_(requires_grad)
            p.grad = grad
