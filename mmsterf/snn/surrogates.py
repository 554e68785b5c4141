"""Surrogate gradients: what a neuron's spike takes for its derivative."""

from typing import Optional

from spikingjelly.activation_based import surrogate as sj_surrogate
from torch import nn

SURROGATES = {
    name: getattr(sj_surrogate, name)
    for name in ('ATan', 'Erf', 'PiecewiseExp', 'PiecewiseQuadratic', 'Rect', 'Sigmoid', 'SoftSign')
}
"""Surrogate gradients by spikingjelly's names."""

ALIASES = {'rectangle': 'Rect', 'triangle': 'PiecewiseQuadratic', 'polynomial': 'PiecewiseQuadratic'}
"""Names of the paper: the derivative of the piecewise quadratic (polynomial) spike is a triangle."""


def build_surrogate(surrogate: Optional[dict] = None) -> nn.Module:
    """Turn a surrogate config into a new surrogate function, never a shared one.

    Args:
        surrogate (dict, optional): ``dict(type='ATan', alpha=2.0)``, the type a key of `SURROGATES` or `ALIASES`, in
            any case. None means the sigmoid with alpha 4.

    Raises:
        KeyError: If the type is unknown; the message lists the choices.
        TypeError: If `surrogate` is no config, or one without a type.
    """
    choices = ', '.join([*SURROGATES, *(f'{alias} ({name})' for alias, name in ALIASES.items())])
    if surrogate is not None and not (isinstance(surrogate, dict) and 'type' in surrogate):
        raise TypeError(f'a surrogate is dict(type=...), with one of {choices}; got {surrogate!r}')
    cfg = dict(surrogate or {'type': 'Sigmoid', 'alpha': 4.0})
    kind = cfg.pop('type')
    names = {name.lower(): name for name in SURROGATES} | ALIASES
    if str(kind).lower() not in names:
        raise KeyError(f'unknown surrogate type {kind!r}; choose from {choices}')
    return SURROGATES[names[kind.lower()]](**cfg)
