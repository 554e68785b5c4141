"""Batch-norm statistics from data for untrained models, and firing rates to explain empty maps."""

import copy
from collections.abc import Callable, Iterable
from typing import Optional

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from .inputs import pack, samples_of
from .layers import tensors
from .state import reset_neurons, untouched


def calibrated(
    model: nn.Module,
    inputs: Iterable[Tensor],
    *,
    time_steps: int = 1,
    input_time: str = 'auto',
    forward: Optional[Callable[[nn.Module, Tensor], object]] = None,
    progress: Optional[Callable[[int, int], None]] = None,
) -> nn.Module:
    """Return a copy of a model whose batch-norm statistics are those of `inputs`; the model itself is left as found.

    The statistics of an untrained model (mean 0, variance 1) say nothing about its activations, and can silence all
    spiking neurons, so that receptive fields are empty. Each input is one forward pass in which the batch norms, and
    nothing else, are in training mode; they end with the average over the passes. Norms that see one value for each
    channel (behind global pooling) start with the mean 0 and the variance 1, and keep them.

    Args:
        model: Any module.
        inputs: See `st_erf`.
        time_steps, input_time, forward: See `st_erf`.
        progress: ``progress(done, total)`` after every input.
    """
    samples, total, input_time = samples_of(inputs, input_time, time_steps)
    with untouched(model) as bare:
        reset_neurons(bare)
        bare = copy.deepcopy(bare)
        norms = [m for m in bare.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
        momenta = [m.momentum for m in norms]
        handles = [m.register_forward_pre_hook(_train_on_several) for m in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # cumulative average
        with torch.no_grad():
            for i, sample in enumerate(samples, 1):
                _run(bare, [sample], input_time, forward)
                if progress:
                    progress(i, total)
        for norm, momentum, handle in zip(norms, momenta, handles):
            norm.momentum = momentum
            handle.remove()
        bare.eval()  # not chained: most stock backbones return nothing
        return bare


def _train_on_several(norm: nn.Module, args: tuple) -> None:
    """Train a norm on more than one value for each channel; of one, as behind global pooling, there is no variance."""
    norm.train(args[0].numel() > args[0].shape[1])


def firing_rates(
    model: nn.Module,
    sample: Tensor,
    *,
    time_steps: int = 1,
    input_time: str = 'auto',
    forward: Optional[Callable[[nn.Module, Tensor], object]] = None,
) -> dict[str, float]:
    """Return the share of non-zero outputs of every spiking neuron layer, in [0, 1], in the order they run.

    A layer counts as spiking if it has no weights and its outputs are few non-negative multiples of one amount (at most
    16 levels), which ReLU and pooling of real numbers are not. The model is left as found.
    """
    (sample,), _, input_time = samples_of([sample], input_time, time_steps)
    rates: dict[str, float] = {}

    def look(name):
        def hook(module, args, output):
            for y in tensors(output)[:1]:
                levels = y.detach().unique()
                steps = levels / levels[levels > 0].min() if (levels > 0).any() else levels
                if len(levels) <= 17 and (levels >= 0).all() and torch.allclose(steps, steps.round()):
                    rates.setdefault(name, float((y != 0).float().mean()))

        return hook

    with untouched(model) as bare, torch.no_grad():
        # a neuron may hold a surrogate module and a learnt time constant, but no weights
        plain = [(n, m) for n, m in bare.named_modules() if all(p.numel() == 1 for p in m.parameters())]
        handles = [m.register_forward_hook(look(n)) for n, m in plain]
        try:
            _run(bare, [sample], input_time, forward)
        finally:
            for handle in handles:
                handle.remove()
    return rates


def _run(model: nn.Module, batch: list[Tensor], input_time: str, forward) -> None:
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    x = pack(batch, input_time, like).detach()
    reset_neurons(model)
    model(x) if forward is None else forward(model, x)
