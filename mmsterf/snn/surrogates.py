"""Surrogate gradients: what a neuron's spike takes for its derivative."""

from typing import Optional

from spikingjelly.activation_based import surrogate as sj_surrogate
from torch import nn

SURROGATES = {
    name: getattr(sj_surrogate, name)
    for name in ('ATan', 'Erf', 'PiecewiseExp', 'PiecewiseQuadratic', 'Rect', 'Sigmoid', 'SoftSign')
}
"""Surrogate gradients by spikingjelly's names; Rect is the rectangle, PiecewiseQuadratic the triangle."""


def build_surrogate(surrogate: Optional[dict] = None) -> nn.Module:
    """Turn a surrogate config into a new surrogate function, never a shared one.

    Args:
        surrogate (dict, optional): ``dict(type='ATan', alpha=2.0)``, the type a key of `SURROGATES`. None means the
            sigmoid with alpha 4.

    Raises:
        KeyError: If the type is unknown; the message lists the choices.
    """
    cfg = dict(surrogate or {'type': 'Sigmoid', 'alpha': 4.0})
    kind = cfg.pop('type')
    if kind not in SURROGATES:
        raise KeyError(f'unknown surrogate type {kind!r}; choose from {", ".join(SURROGATES)}')
    return SURROGATES[kind](**cfg)
