"""Spiking neurons by name: folded maps in, folded spikes out, state reset inside every call."""

import logging
from typing import Union

from torch import nn

from .ilif import ILIF
from .threshold import IF, LIF, PLIF, Izhikevich, ThresholdNeuron

# Without Triton, each type of neuron would say so once, in the middle of whatever runs.
logging.getLogger('torch._library.triton').setLevel(logging.ERROR)

NEURONS = {neuron.__name__: neuron for neuron in (IF, ILIF, Izhikevich, LIF, PLIF)}
"""Neurons by the name that configs use; add yours here to make it a valid `neuron=dict(type=...)`."""


def _neuron_type(kind: Union[str, type]) -> type:
    if not isinstance(kind, str):
        return kind
    name = kind.rpartition('.')[2]
    if name not in NEURONS:
        raise KeyError(f'unknown neuron type {kind!r}; choose from {", ".join(sorted(NEURONS))}')
    return NEURONS[name]


def build_neuron(neuron: Union[dict, nn.Module, None] = None, **defaults) -> nn.Module:
    """Turn a neuron config into a neuron; modules pass through.

    Args:
        neuron (dict | nn.Module, optional): ``dict(type='ILIF', ...)``, the type a key of `NEURONS` with or without
            the scope ``mmsterf.``, or a class. None means an I-LIF neuron.
        **defaults: Arguments that the config may override.

    Raises:
        KeyError: If the type is unknown; the message lists the choices.
        TypeError: If `neuron` is no config, or one without a type.
    """
    if isinstance(neuron, nn.Module):
        return neuron
    if neuron is not None and not (isinstance(neuron, dict) and 'type' in neuron):
        raise TypeError(f'a neuron is dict(type=...), with one of {", ".join(sorted(NEURONS))}; got {neuron!r}')
    cfg = {'type': 'ILIF', **defaults, **(neuron or {})}
    return _neuron_type(cfg.pop('type'))(**cfg)


def half_threshold(neuron: dict) -> dict:
    """Config of the neuron behind an attention product: `neuron` at half its threshold, as published.

    Neurons without a threshold (I-LIF) stay as they are.
    """
    if issubclass(_neuron_type(neuron['type']), ThresholdNeuron):
        return {**neuron, 'v_threshold': neuron.get('v_threshold', 1.0) / 2}
    return neuron
