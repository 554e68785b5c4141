"""End a forward pass where the last of the layers that were asked for has run."""

from collections.abc import Callable, Iterable
from typing import Optional, Union

from torch import Tensor, nn

from .layers import _matches


class Enough(BaseException):
    """The rest of a forward pass is not needed."""


def ending(
    model: nn.Module,
    layers: Union[str, nn.Module, Iterable[Union[str, nn.Module]]],
    forward: Optional[Callable[[nn.Module, Tensor], object]] = None,
) -> Callable[[nn.Module, Tensor], object]:
    """Return a forward pass that ends when every module that `layers` can mean has run once.

    What lies behind, a neck without an operator for the device, say, is then never run. Layers that no module's name
    fits are left to `select`: then everything runs.

    Args:
        model: The model; what is returned may be called with copies of it.
        layers: See `select`.
        forward: ``forward(model, x)``; default ``model(x)``.
    """
    names = {n or '.' for n, _ in model.named_modules()}
    wanted: set = set()
    for item in [layers] if isinstance(layers, (str, nn.Module)) else layers:
        if isinstance(item, nn.Module):
            found = {n or '.' for n, m in model.named_modules() if m is item}
        else:
            found = {n for n in names if _matches(n, item) or _matches(n, item.rpartition(':')[0])}
        if not found:
            return forward or _call
        wanted |= found

    def run(model: nn.Module, x: Tensor):
        modules = {n or '.': m for n, m in model.named_modules()}
        missing = {_last(modules[n]) for n in wanted}
        backbone = modules.get('backbone')

        def look(module, args, output):
            missing.discard(module)
            if module is backbone:  # what has not run in it by now never does
                missing.difference_update(backbone.modules())
            if not missing:
                raise Enough

        handles = [m.register_forward_hook(look) for m in missing | ({backbone} - {None})]
        try:
            return (forward or _call)(model, x)
        except Enough:
            return None
        finally:
            for handle in handles:
                handle.remove()

    return run


def _last(module: nn.Module) -> nn.Module:
    """What runs last in a Sequential, which may be run child by child."""
    while type(module).forward is nn.Sequential.forward and len(module):
        module = module[-1]
    return module


def _call(model: nn.Module, x: Tensor):
    return model(x)
