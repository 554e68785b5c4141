"""Run a model and keep what the gradients of its layers start from."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge
from torch.nn.modules.batchnorm import _BatchNorm

from .ending import Enough
from .layers import Layer, tensors
from .state import reset_neurons


def run(model: nn.Module, x: Tensor, forward) -> None:
    """Run the model as `st_erf` does."""
    reset_neurons(model)
    model(x) if forward is None else forward(model, x)


def calls(layer: Layer, time_steps: int) -> int:
    """Return how many calls of a layer count."""
    return time_steps if layer.time == 'calls' else 1


def outputs(
    model: nn.Module, x: Tensor, layers: list[Layer], time_steps: int, forward, take: Callable[[int, Tensor], None]
) -> None:
    """Run the model up to the last layer; ``take(k, y)`` gets every output y of layer k when the layer returns."""
    missing = [calls(layer, time_steps) for layer in layers]

    def look(module, args, kwargs, output):
        found = tensors(output)
        for k, layer in enumerate(layers):
            if layer.module is module and missing[k]:
                take(k, found[layer.index])
                missing[k] -= 1
        if not any(missing):
            raise Enough

    handles = [m.register_forward_hook(look, with_kwargs=True) for m in {layer.module for layer in layers}]
    try:
        with contiguous_gradients(model):
            run(model, x, forward)
    except Enough:
        pass
    finally:
        for handle in handles:
            handle.remove()


def start_of(y: Tensor) -> tuple:
    """Return what a gradient starts from: the edge, and an empty tensor like the output."""
    return get_gradient_edge(y), torch.empty_like(y, device='meta')


def capture(model: nn.Module, x: Tensor, layers: list[Layer], time_steps: int, forward, signed) -> list[list[tuple]]:
    """Run the model up to the last layer; return per layer the (gradient edge, empty tensor like the output) of calls.

    The edge is taken when the layer returns: a later in-place operation moves the tensor on, but not the edge. With
    `signed`, it is that of the positive part of the output.
    """
    captured = [[] for _ in layers]

    def take(k, y):
        captured[k].append(start_of(y.relu() if signed else y))

    outputs(model, x, layers, time_steps, forward, take)
    return captured


@contextmanager
def contiguous_gradients(model: nn.Module) -> Iterator[None]:
    """torch 2.13's CPU batch norm misreads the gradient of a single image that has the strides of a transposed view."""

    def look(module, args, output):
        if output.requires_grad and output.shape[0] == 1:
            output.register_hook(Tensor.contiguous)

    handles = [m.register_forward_hook(look) for m in model.modules() if isinstance(m, _BatchNorm)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
