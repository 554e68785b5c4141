"""Surrogate gradients: what a neuron's spike takes for its derivative."""

from typing import Union

from spikingjelly.activation_based import surrogate as sj_surrogate
from torch import nn

from mmsterf.ranges import check_number

SURROGATES = {
    name: getattr(sj_surrogate, name)
    for name in ('ATan', 'Erf', 'PiecewiseExp', 'PiecewiseQuadratic', 'Rect', 'Sigmoid', 'SoftSign')
}
"""Surrogate gradients by spikingjelly's names."""

ALIASES = {'rectangle': 'Rect', 'triangle': 'PiecewiseQuadratic', 'polynomial': 'PiecewiseQuadratic'}
"""Names of the paper: the derivative of the piecewise quadratic (polynomial) spike is a triangle."""


def build_surrogate(surrogate: Union[dict, type, nn.Module, None] = None) -> nn.Module:
    """Turn a surrogate config or class into a new surrogate function, never a shared one; modules pass through.

    Args:
        surrogate (dict | type | nn.Module, optional): ``dict(type='ATan', alpha=2.0)``, the type a key of `SURROGATES`
            or `ALIASES`, in any case, with or without the scope ``mmsterf.``, or a class of your own; such a class; or
            a module. None means the sigmoid with alpha 4.

    Raises:
        KeyError: If the type is unknown; the message lists the choices.
        TypeError: If `surrogate` is none of these, or a config without a type.
    """
    choices = ', '.join([*SURROGATES, *(f'{alias} ({name})' for alias, name in ALIASES.items())])
    if isinstance(surrogate, nn.Module):
        return surrogate
    if isinstance(surrogate, type):
        surrogate = {'type': surrogate}
    if surrogate is not None and not (isinstance(surrogate, dict) and 'type' in surrogate):
        raise TypeError(
            f'a surrogate is dict(type=...), with one of {choices} or a class, or a module; got {surrogate!r}'
        )
    cfg = dict(surrogate or {'type': 'Sigmoid', 'alpha': 4.0})
    kind = cfg.pop('type')
    if isinstance(kind, type):
        if not issubclass(kind, nn.Module):
            raise TypeError(f'a surrogate class is an nn.Module, got {kind!r}')
        return kind(**cfg)
    for argument, value in cfg.items():
        if isinstance(value, float):
            check_number(f'{argument} of the surrogate {kind}', value, above=0)
    name = str(kind).rpartition('.')[2].lower()
    names = {name.lower(): name for name in SURROGATES} | ALIASES
    if name not in names:
        raise KeyError(f'unknown surrogate type {kind!r}; choose from {choices}')
    return SURROGATES[names[name]](**cfg)
