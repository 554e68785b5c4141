"""What a model multiplies: its weight layers and products of activations, one by one, and what they read."""

from typing import Callable, NamedTuple, Optional

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary

from .neurons import NEURONS

KINDS = ('binary', 'integer', 'analog')
"""What an operand can be: spikes of 0 or 1 (times a constant), whole multiples of a constant, or anything else."""

_WEIGHTED = ('conv1d', 'conv2d', 'conv3d', 'conv_transpose1d', 'conv_transpose2d', 'conv_transpose3d', 'linear')
_MATMUL = ('matmul', 'bmm', 'mm')
_MUL = ('mul', 'multiply')


class Spikes(NamedTuple):
    """What a tensor holds: `gain` times a count of 0 to `slots`; 0 slots: a sum of products, of any size."""

    gain: float
    slots: int
    time_steps: int


class Operand(NamedTuple):
    """A tensor that is multiplied. `counts` has its spikes, None if it is analog."""

    value: Tensor
    counts: Optional[Tensor] = None
    spikes: Spikes = Spikes(1.0, 0, 1)

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        return 'analog' if self.counts is None else 'binary' if self.spikes.slots == 1 else 'integer'

    @property
    def fires(self) -> bool:
        """Whether it holds spikes of neurons, not what was made of them."""
        return self.counts is not None and self.spikes.slots > 0


class Operation(NamedTuple):
    """One call of a weight layer's function, or a product of activations.

    Attributes:
        name: Of the module that makes it; products are numbered: ``attn.product1``.
        kind: 'convolution', 'linear', 'matmul' or 'gate' (elementwise product of spikes).
        func: The function of torch.
        operands: The input, or both factors.
        weight, bias: Of convolutions and linear layers.
        rest, kwargs: Further arguments of `func`.
        time_steps: T of the innermost module around that has `time_steps`, or of the neuron in front.
    """

    name: str
    kind: str
    func: Callable
    operands: tuple
    weight: Optional[Tensor]
    bias: Optional[Tensor]
    rest: tuple
    kwargs: dict
    time_steps: int

    def run(self) -> Tensor:
        """Make the call as it was meant."""
        args = tuple(operand.value for operand in self.operands)
        return self.func(*args, *(() if self.weight is None else (self.weight, self.bias)), *self.rest, **self.kwargs)


class OperationMode(TorchFunctionMode):
    """Context in which every weight layer and product of activations of `model` passes through `operate`.

    Spikes are followed from the neuron that fires them through whatever only moves, picks or adds them; what arrives is
    looked at, so that a tensor counts as spikes only if all its values are.

    Args:
        model (nn.Module): Any model. Its neurons are those of `mmsterf.snn.NEURONS`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self._spikes = WeakIdKeyDictionary()
        self._running: list = []  # [name, products so far, module] of the modules that are being called
        self._in_neuron = 0
        self._handles: list = []

    def operate(self, operation: Operation) -> Tensor:
        """Run an operation and return its output."""
        return operation.run()

    def __enter__(self):
        for name, module in self.model.named_modules():
            self._handles += [
                module.register_forward_pre_hook(lambda m, _, name=name: self._running.append([name, 0, m])),
                module.register_forward_hook(lambda *_: self._running.pop() and None, always_call=True),
            ]
            if isinstance(module, tuple(NEURONS.values())):
                self._handles += [
                    module.register_forward_pre_hook(self._enter_neuron),
                    module.register_forward_hook(self._leave_neuron, always_call=True),
                ]
        return super().__enter__()

    def __exit__(self, *error) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self._running.clear()
        self._in_neuron = 0
        super().__exit__(*error)

    def _enter_neuron(self, *_) -> None:
        self._in_neuron += 1

    def _leave_neuron(self, neuron: nn.Module, _, output) -> None:
        self._in_neuron -= 1
        if isinstance(output, Tensor):
            self._spikes[output] = spikes_of(neuron)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name = getattr(func, '__name__', '').strip('_')
        if self._in_neuron:
            return func(*args, **kwargs)
        if self._running and name in _WEIGHTED:
            return self.operate(self._weighted(name, func, args, kwargs))
        is_gate = name in _MUL and all(self._has_spikes(a) for a in args)
        if self._running and len(args) == 2 and (is_gate or name in _MATMUL):
            operation = self._product('gate' if is_gate else 'matmul', func, args, kwargs)
            out = self.operate(operation)
            if all(operand.counts is not None for operand in operation.operands):
                a, b = (operand.spikes for operand in operation.operands)
                slots = a.slots * b.slots if operation.kind == 'gate' else 0
                self._spikes[out] = Spikes(a.gain * b.gain, slots, max(a.time_steps, b.time_steps))
            return out
        out = func(*args, **kwargs)
        if not name.startswith('set') and self._spikes:
            self._follow(args, out)
        return out

    def _has_spikes(self, value) -> bool:
        return isinstance(value, Tensor) and value in self._spikes

    def _follow(self, args: tuple, out) -> None:
        """Note that `out` holds spikes if all floating-point tensors that it was made of do."""
        parts = [p for a in args for p in (a if isinstance(a, (tuple, list)) else (a,)) if isinstance(p, Tensor)]
        found = [self._spikes.get(p) for p in parts if p.is_floating_point()]
        same = bool(found) and None not in found and len({spikes.gain for spikes in found}) == 1
        for tensor in out if isinstance(out, (tuple, list)) else (out,):
            if not isinstance(tensor, Tensor):
                continue
            if same and tensor.is_floating_point():
                slots = [spikes.slots for spikes in found]
                self._spikes[tensor] = found[0]._replace(slots=max(slots) if all(slots) else 0)
            else:
                self._spikes.pop(tensor, None)

    def _operand(self, value: Tensor) -> Operand:
        spikes = self._spikes.get(value)
        if spikes is None:
            return Operand(value)
        if not value.numel():
            return Operand(value, value.detach(), spikes)
        scaled = value.detach() / spikes.gain
        counts = scaled.round()
        low, high = (int(v) for v in counts.aminmax())
        if low < 0 or not bool(((scaled - counts).abs() < 0.02).all()):
            return Operand(value)
        return Operand(value, counts, spikes._replace(slots=max(spikes.slots, high) if spikes.slots else 0))

    def _time_steps(self, operands: tuple) -> int:
        known = [operand.spikes.time_steps for operand in operands if operand.counts is not None]
        around = (m.time_steps for _, _, m in reversed(self._running) if hasattr(m, 'time_steps'))
        return max(known) if known else next(around, 1)

    def _weighted(self, name: str, func, args: tuple, kwargs: dict) -> Operation:
        kwargs = dict(kwargs)
        x, weight, bias = (
            args[i] if len(args) > i else kwargs.pop(key, None) for i, key in enumerate(('input', 'weight', 'bias'))
        )
        operands = (self._operand(x),)
        kind = 'linear' if name == 'linear' else 'convolution'
        steps = self._time_steps(operands)
        return Operation(self._running[-1][0], kind, func, operands, weight, bias, args[3:], kwargs, steps)

    def _product(self, kind: str, func, args: tuple, kwargs: dict) -> Operation:
        operands = tuple(self._operand(a) for a in args)
        where = self._running[-1]
        where[1] += 1
        name = f'{where[0]}.product{where[1]}'.lstrip('.')
        return Operation(name, kind, func, operands, None, None, (), kwargs, self._time_steps(operands))


def spikes_of(neuron: nn.Module) -> Spikes:
    """Constant, largest count and time steps of what a neuron fires."""
    count = getattr(neuron, 'max_count', 1)
    if not neuron.training and getattr(neuron, 'eval_max_count', None):
        count = neuron.eval_max_count
    return Spikes(getattr(neuron, 'gain', 1.0), count, neuron.time_steps)
