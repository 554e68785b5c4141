"""Find the layers of a model that have an effective receptive field, and read the axes of their outputs."""

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import NamedTuple, Optional, Union

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.graph import get_gradient_edge

from .axes import Order, axes_of, channels_of
from .blocks import Block, tidy
from .lineage import Lineage
from .regions import Window
from .state import reset_neurons

_VIEWS = (
    'View',
    'UnsafeView',
    'ReshapeAlias',
    'Permute',
    'Transpose',
    'Clone',
    'Slice',
    'Select',
    'Squeeze',
    'Unsqueeze',
)
_NEVER = 'never runs in the forward pass'


@dataclass(frozen=True)
class Layer:
    """One output of one module, as seen in a forward pass of one sample.

    Attributes:
        name: Module name, with ``:i`` behind it for the i-th tensor of a tuple, list or dict.
        module: The module.
        index: i, 0 for a single tensor.
        shape: Shape of the tensor for one sample.
        axes: One of `AXES`.
        grid: (h, w), the spatial size.
        time: Where output time steps are: 'none' (one step, or averaged over), 'folded', 'axis', or 'calls' (the module
            runs once per step).
        prefix: Number of tokens in front of the grid (class token, registers).
        in_front: Where the output comes straight out of a layer norm, or is a sum of such, the layer in front of the
            (last) norm, if it has a name. Behind a norm, ones over all channels cancel if its gains are equal.
        guess: Whether the axes were read from the shape alone.
        stands_for: The layer that was asked for, if this is the one in front of its norm.
        window: (top, left, bottom, right) in input pixels, where the grid covers a region of interest; None for all.
    """

    name: str
    module: nn.Module
    index: int
    shape: tuple[int, ...]
    axes: str
    grid: tuple[int, int]
    time: str
    prefix: int = 0
    in_front: str = ''
    guess: bool = False
    stands_for: str = ''
    window: Optional[Window] = None

    def seed(
        self, like: Tensor, cell: tuple[int, int], step: Union[int, slice], time_steps: int, signs: bool = False
    ) -> Block:
        """Return the gradient to put into the output: ones over all channels at one grid cell.

        Args:
            like: The output (or an empty tensor of its shape), for shape, type and device.
            cell: (row, column) on the grid.
            step: Output step, or a slice of steps; has no meaning where `time` is 'none' or 'calls'.
            time_steps: T.
            signs: Put random signs, the same every time, in place of ones.
        """
        row, column = cell
        places = {'H': row, 'W': column, 'L': self.prefix + row * self.grid[1] + column}
        steps = np.atleast_1d(np.arange(time_steps)[step])
        axes, where = self.axes.rjust(like.ndim, 'N'), [None] * like.ndim
        for d, (axis, size) in enumerate(zip(axes, like.shape)):
            if axis in places:
                where[d] = np.array([places[axis]])
            elif axis == 'T' and self.time == 'axis':
                where[d] = steps
            elif d == 0 and self.time == 'folded':
                where[d] = (steps[:, None] * (size // time_steps) + np.arange(size // time_steps)).ravel()
        where = tidy(where, like.shape)
        values = like.new_ones([s if w is None else len(w) for w, s in zip(where, like.shape)])
        if signs:
            channels = axes.rindex('C')
            values *= _signs(like.shape[channels]).to(like).view([-1 if d == channels else 1 for d in range(like.ndim)])
        return Block(values, where, like.shape)


def _signs(num: int) -> Tensor:
    signs = torch.randint(0, 2, (num,), generator=torch.Generator().manual_seed(0)) * 2 - 1
    if num > 1 and signs.sum().abs() == num:
        signs[0] = -signs[0]  # equal signs are ones
    return signs


def tensors(output) -> list[Tensor]:
    """Return the floating-point tensors of an output: a tensor, or nested tuples, lists and dicts of them."""
    if isinstance(output, Tensor):
        return [output] if output.is_floating_point() else []
    if isinstance(output, dict):
        output = output.values()
    elif not isinstance(output, (tuple, list)):
        return []
    return [t for item in output for t in tensors(item)]


def probe(
    model: nn.Module,
    x: Tensor,
    size: tuple[int, int],
    time_steps: int = 1,
    axes: Union[Order, dict[str, Order]] = 'auto',
    forward: Optional[Callable] = None,
    graph: Optional[dict[str, list]] = None,
) -> tuple[dict[str, Layer], dict[str, str]]:
    """Run one sample and return the layers that have a receptive field, and for all others the reason why not.

    Args:
        model: A model inside `untouched`.
        x: Input of one sample, asking for its gradient.
        size: (H, W) of the image.
        time_steps: T.
        axes: Axis order of outputs (see `Order`), or a dict from name patterns to that.
        forward: ``forward(model, x)``; default ``model(x)``.
        graph: Is filled with the (gradient edge, empty tensor like the output) of every call of every layer.
    """
    names = {m: n or '.' for n, m in model.named_modules()}
    calls: dict[str, list[list[_Seen]]] = {n: [] for n in names.values()}
    lineage = Lineage(x)

    def look(module, args, kwargs, output):
        name, channels = names[module], channels_of(module)
        found = []
        for i, y in enumerate(tensors(output)):
            order = axes if not isinstance(axes, dict) else _order(axes, name, i)
            read = axes_of(y, lineage, size, time_steps, order, channels) if y.requires_grad else (None, '')
            edge = (get_gradient_edge(y), torch.empty_like(y, device='meta')) if y.requires_grad else None
            found.append(_Seen(tuple(y.shape), y.requires_grad, read, *_origins(y), edge, lineage.window(y)))
        calls[name].append(found)

    handles = [m.register_forward_hook(look, with_kwargs=True) for m in names]
    try:
        reset_neurons(model)
        model(x) if forward is None else forward(model, x)
    finally:
        for handle in handles:
            handle.remove()

    def runs(module):
        # a Sequential may be run child by child; its output is then that of its last child
        # (a loop: a function that names itself would keep the graph until the garbage collector comes)
        while isinstance(module, nn.Sequential) and len(module) and not calls[names[module]]:
            module = module[-1]
        return module

    layers, reasons, origins, graph = {}, {}, {}, {} if graph is None else graph
    for module, name in names.items():
        module = runs(module)
        made = calls[names[module]]
        outputs = made[0] if made else []
        keys = [name] if len(outputs) == 1 else [f'{name}:{i}' for i in range(len(outputs))]
        for i, (key, seen) in enumerate(zip(keys, outputs)):
            found, why = seen.read
            if not seen.connected:
                reasons[key] = 'does not depend on the input'
            elif not found:
                reasons[key] = why
            else:
                time = _time(found[0], seen.shape, time_steps, len(made))
                layers[key] = Layer(
                    key, module, i, seen.shape, found[0], found[1], time, found[2], guess=why == 'guess',
                    window=seen.window,
                )  # fmt: skip
                origins[key] = seen
                graph[key] = [call[i].edge for call in made if len(call) > i]
        if not outputs:
            reasons[name] = 'returns no floating-point tensor' if made else _NEVER
        elif len(outputs) > 1:
            usable = next((layers[k] for k in keys if k in layers), None)
            if usable:
                origins[name], graph[name] = origins[usable.name], graph[usable.name]
                layers[name] = replace(usable, name=name)
            else:
                reasons[name] = '; '.join(f'{k} {reasons[k]}' for k in keys)
    made_by: dict = {}
    for key, seen in origins.items():
        made_by.setdefault(seen.origin, []).append(key)
    for key, seen in origins.items():
        in_front = seen.normed and min(made_by.get(seen.normed, []), key=lambda n: (':' in n, len(n)), default='')
        if in_front:
            layers[key] = replace(layers[key], in_front=in_front)
    return layers, reasons


class _Seen(NamedTuple):
    """One output of one call: shape, whether it depends on the input, `axes_of`, the op that made it, and, if that is a
    layer norm, the op in front; its gradient edge and an empty tensor like it; its window.
    """

    shape: tuple
    connected: bool
    read: tuple
    origin: object
    normed: object
    edge: Optional[tuple]
    window: Optional[Window]


def _order(axes: dict, name: str, index: int) -> Order:
    keys = (f'{name}:{index}', name)
    return next((order for pattern, order in axes.items() if any(_matches(k, pattern) for k in keys)), 'auto')


def _origins(y: Tensor) -> tuple:
    """The op that made a tensor, behind views of its result; and the one in front of the (last) norm it ends in."""
    norms = _norms(y.grad_fn)
    last = max(norms, key=lambda node: node._sequence_nr(), default=None)
    return _behind_views(y.grad_fn), last and _behind_views(last.next_functions[0][0])


def _behind_views(node):
    while node is not None and node.name().startswith(_VIEWS):
        node = node.next_functions[0][0]
    return node


def _norms(node) -> list:
    """The layer norms that a tensor is the sum of, one or, as in SwinV2, several; none if anything else takes part."""
    found, seen, stack = [], set(), [node]
    while stack:
        node = _behind_views(stack.pop())
        if node is None or node in seen:
            continue
        seen.add(node)
        if node.name().startswith('NativeLayerNorm'):
            found.append(node)
        elif node.name().startswith('AddBackward'):
            stack.extend(parent for parent, _ in node.next_functions)
        else:
            return []
    return found


def _time(axes: str, shape: tuple[int, ...], time_steps: int, calls: int) -> str:
    if axes[0] == 'T':
        return 'axis'
    if time_steps == 1:
        return 'none'
    if shape[0] == time_steps:
        return 'folded'
    return 'calls' if calls == time_steps else 'none'


def _matches(name: str, pattern: str) -> bool:
    # 'neck*' means modules, not every output of every module
    return name == pattern or ((':' in name) == (':' in pattern) and fnmatchcase(name, pattern))


def select(
    model: nn.Module,
    wanted: Union[str, nn.Module, Iterable[Union[str, nn.Module]]],
    layers: dict[str, Layer],
    reasons: dict[str, str],
) -> list[Layer]:
    """Return the layers that `wanted` means, in that order, each once.

    Args:
        model: The probed model.
        wanted: Names, glob patterns (``stage3.*.attn.proj``, ``backbone:*``) or modules, one or several.
        layers: From `probe`.
        reasons: From `probe`.

    Raises:
        ValueError: If a name or pattern means no usable layer; the message says why and lists the layers that would do.
    """
    names = {m: n or '.' for n, m in model.named_modules()}
    chosen: dict[str, Layer] = {}
    for item in [wanted] if isinstance(wanted, (str, nn.Module)) else wanted:
        if isinstance(item, nn.Module):
            if item not in names:
                raise ValueError(
                    f'the {type(item).__name__} given as a layer is not part of the {type(model).__name__}'
                )
            item = names[item]
        if not item:
            raise ValueError(f'layers has an empty name, {item!r}. Layers that would do: {_suggest("", layers)}')
        found = [n for n in layers if n == item] or [n for n in layers if _matches(n, item)]
        single, _, index = item.rpartition(':')
        if not found and single in layers and index in ('0', '*') and item not in reasons:
            found = [single]  # the only output of a module goes without an index
        if not found:
            others = sorted((r for n, r in reasons.items() if _matches(n, item)), key=_NEVER.__eq__)
            why = reasons.get(item) or next(iter(others), None)
            why = why or ('matches no layer' if any(c in item for c in '*?[') else 'is no layer of this model')
            raise ValueError(f'layer {item!r} {why}. Layers that would do: {_suggest(item, layers)}')
        chosen.update((n, layers[n]) for n in found)
    if not chosen:
        raise ValueError(f'no layers given. Layers that would do: {_suggest("", layers)}')
    return list(chosen.values())


def _suggest(name: str, layers: dict[str, Layer], limit: int = 24) -> str:
    if not layers:
        return 'none (no output of this model depends on the input and has a spatial shape)'
    near = difflib.get_close_matches(name, layers, n=4, cutoff=0.5)
    rest = [n for n in layers if n not in near and ':' not in n]
    shown = (near + rest)[:limit]
    return ', '.join(shown) + (f' and {len(layers) - len(shown)} more' if len(layers) > len(shown) else '')
