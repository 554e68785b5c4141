"""Spiking neurons: folded maps in, folded spikes out, state reset inside every call."""

import inspect
import logging
from importlib.util import find_spec
from typing import Optional, Union

import torch
from spikingjelly.activation_based import neuron as sj_neuron
from spikingjelly.activation_based.surrogate import MultiLevelSpikeCount
from torch import Tensor, nn

from mmsterf.ranges import check_count, check_number

from .surrogates import build_surrogate
from .time import fold, unfold

# Without Triton, each type of neuron would say so once, in the middle of whatever runs.
logging.getLogger('torch._library.triton').setLevel(logging.ERROR)


def _run(node: nn.Module, x: Tensor, time_steps: int) -> Tensor:
    """Run a multi-step node on a folded map and forget its state, also after an error."""
    if not x.numel():  # no RoIs: spikingjelly refuses it
        return x.clone()
    try:
        return fold(node(unfold(x, time_steps)))
    finally:
        node.reset()


def _check_positive(neuron: str, **counts) -> None:
    for name, value in counts.items():
        check_count(f'{name} of {neuron}', value)


def _check_tau(neuron: str, tau: float) -> None:
    check_number(f'tau of {neuron}', tau, least=1)


class _Count(torch.autograd.Function):
    """``round(clip(x, 0, high)) * gain`` with gradient `gain` where 0 <= x <= high.

    Keeps one byte per element instead of the input, and nothing at all in inference.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, high: int, gain: float, learns: bool) -> tuple:
        y = x.clamp(0, high)
        inside = y == x if learns else None  # one comparison: torch's are slow on CPU
        y.round_()
        return (y if gain == 1 else y.mul_(gain)), inside

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:
        inside = output[1]
        ctx.gain = inputs[2]
        if inside is not None:
            ctx.mark_non_differentiable(inside)
            ctx.save_for_backward(inside)

    @staticmethod
    def backward(ctx, grad: Tensor, _):
        (inside,) = ctx.saved_tensors
        if type(grad) is not Tensor:
            # A gradient that knows where it is zero (`mmsterf.erf.blocks`) multiplies there only.
            return grad * inside * ctx.gain, None, None, None
        # Bytes, because torch's conversions of booleans are slow on CPU; here, because tracing a forward pass takes no
        # view of booleans. The product has the layout of the mask, not of the gradient: torch's CPU batch norm misreads
        # gradients of a single image that come with the strides of a transposed view.
        grad = inside.view(torch.uint8).to(grad.dtype).mul_(grad)
        return (grad if ctx.gain == 1 else grad.mul_(ctx.gain)), None, None, None


def _traceable_count(x: Tensor, high: int, gain: float) -> Tensor:
    """What `_Count` computes, bit for bit, and its gradient, of plain functions (and with more memory)."""
    y = x.clamp(0, high)
    y = y + (y.round() - y).detach()  # both exact: a difference of numbers within a factor of 2, or y itself
    return y if gain == 1 else y * gain


class ILIF(nn.Module):
    """Integer leaky integrate-and-fire neuron (I-LIF).

    One step fires the count ``round(clip(v, 0, D))`` (half to even), by the straight-through gradient 1 where
    ``0 <= v <= D`` and 0 elsewhere; the fired charge is subtracted from v. With one time step v is the input itself.
    Source: Luo et al., "Integer-Valued Training and Spike-Driven Inference Spiking Neural Network", ECCV 2024;
    normalised by D in the Meta-SDT v3 backbone.

    Args:
        max_count (int): Largest count D.
        normalize (bool): Divide counts (and gradients) by `norm`, as backbones do. Necks and heads use the counts.
        time_steps (int): Number of time steps T folded into the batch.
        tau (float): Membrane time constant in steps, at least 1; matters for T > 1 alone.
        eval_max_count (int, optional): Largest count in evaluation mode. The published detector's neck clips at 1
            there although it was trained with 4; only its weights need that.
        norm (int, optional): Divisor of normalised counts, D by default. One published backbone counts to 8 in training
            and to 4 in evaluation, and divides by 4 in both.

    Shape:
        (T*N, ...) to (T*N, ...), time-major.

    Raises:
        ValueError: If a count, `norm` or `time_steps` is not a positive integer, or `tau` below 1.

    Example:
        >>> ILIF(normalize=False)(torch.tensor([-1.0, 0.4, 0.6, 2.5, 9.0]))
        tensor([0., 0., 1., 2., 4.])
    """

    def __init__(
        self,
        max_count: int = 4,
        normalize: bool = True,
        time_steps: int = 1,
        tau: float = 4 / 3,
        eval_max_count: Optional[int] = None,
        norm: Optional[int] = None,
    ) -> None:
        super().__init__()
        counts = {'max_count': max_count, 'time_steps': time_steps, 'eval_max_count': eval_max_count, 'norm': norm}
        _check_positive('ILIF', **{name: value for name, value in counts.items() if value is not None})
        _check_tau('ILIF', tau)
        self.max_count = max_count
        self.normalize = normalize
        self.time_steps = time_steps
        self.eval_max_count = eval_max_count
        self.norm = norm or max_count
        self.node = None
        if time_steps > 1 and tau > 1:  # at 1 nothing is carried over, and spikingjelly refuses it
            count = MultiLevelSpikeCount(max_count)
            self.node = sj_neuron.ILIFNode(tau=tau, surrogate_function=count, step_mode='m')

    @property
    def gain(self) -> float:
        """What a count of one comes out as."""
        return 1 / self.norm if self.normalize else 1

    def forward(self, x: Tensor) -> Tensor:
        high = self.max_count if self.training or self.eval_max_count is None else self.eval_max_count
        if self.node is None:
            if torch.jit.is_tracing():  # it takes in torch's own functions alone, in files, and with and without grad
                return _traceable_count(x, high, self.gain)
            return _Count.apply(x, high, self.gain, x.requires_grad and torch.is_grad_enabled())[0]
        return _run(self.node, x, self.time_steps).clamp(max=high) * self.gain

    def extra_repr(self) -> str:
        return f'max_count={self.max_count}, normalize={self.normalize}, time_steps={self.time_steps}'


class ThresholdNeuron(nn.Module):
    """A neuron of spikingjelly that fires 0 or 1, on folded maps; base of IF, LIF, PLIF and Izhikevich.

    Args:
        time_steps (int): Number of time steps T folded into the batch.
        v_threshold (float): Firing threshold.
        v_reset (float, optional): Potential after a spike; None subtracts the threshold instead (soft reset).
        surrogate (dict | type | nn.Module, optional): Surrogate gradient, see `build_surrogate`.
        detach_reset (bool): Keep the reset out of the gradient.
        backend (str): 'torch', or another backend of spikingjelly's neuron, such as 'triton' or 'cupy', where both it
            and the installed spikingjelly offer that. spikingjelly 2.0.0 takes none: on CUDA it picks its kernels by
            itself, or as the environment says (``SJ_LIF_CUDA_IMPLEMENTATION=triton`` and the like).
        **kwargs: Further arguments of spikingjelly's neuron.

    Shape:
        (T*N, ...) to (T*N, ...), time-major.

    Raises:
        ValueError: If `time_steps` is not a positive integer, the threshold not above 0, `v_reset` not finite, or the
            backend not available.
    """

    node_type: type

    def __init__(
        self,
        time_steps: int = 1,
        v_threshold: float = 1.0,
        v_reset: Optional[float] = 0.0,
        surrogate: Union[dict, type, nn.Module, None] = None,
        detach_reset: bool = True,
        backend: str = 'torch',
        **kwargs,
    ) -> None:
        super().__init__()
        _check_positive(type(self).__name__, time_steps=time_steps)
        check_number(f'v_threshold of {type(self).__name__}', v_threshold, above=0)
        if v_reset is not None:
            check_number(f'v_reset of {type(self).__name__}', v_reset)
        self.time_steps = time_steps
        self.node = self.node_type(
            v_threshold=float(v_threshold),
            v_reset=None if v_reset is None else float(v_reset),
            surrogate_function=build_surrogate(surrogate),
            detach_reset=detach_reset,
            step_mode='m',
            **kwargs,
        )
        self._set_backend(backend)

    def _set_backend(self, backend: str) -> None:
        choices = ['torch']
        if 'backend' in inspect.signature(self.node_type).parameters:
            choices += [b for b in self.node.supported_backends if b != 'torch' and find_spec(b)]
        if backend not in choices:
            raise ValueError(
                f'backend of {type(self).__name__} must be one of {", ".join(choices)} here, got {backend!r}'
            )
        if backend != 'torch':
            self.node.backend = backend

    def forward(self, x: Tensor) -> Tensor:
        return _run(self.node, x, self.time_steps)

    def extra_repr(self) -> str:
        return f'time_steps={self.time_steps}'


class IF(ThresholdNeuron):
    """Integrate-and-fire neuron: v += x, fire at the threshold, reset.

    Takes the arguments of `ThresholdNeuron`.
    """

    node_type = sj_neuron.IFNode


class _LeakyNeuron(ThresholdNeuron):
    """Sets tau past spikingjelly's assertion that it exceed 1: at 1, the limit, a neuron has no memory."""

    def __init__(self, tau: float = 2.0, **kwargs) -> None:
        _check_tau(type(self).__name__, tau)
        super().__init__(**kwargs)
        self.node.tau = float(tau)


class LIF(_LeakyNeuron):
    """Leaky integrate-and-fire neuron: v += (x - (v - v_reset)) / tau, fire at the threshold, reset.

    The defaults are those of Spikformer, Spike-driven Transformer v1 and v2, and QKFormer.

    Args:
        tau (float): Membrane time constant in steps, at least 1.
        decay_input (bool): Divide the input by tau as well.
        **kwargs: As `ThresholdNeuron`.

    Example:
        >>> LIF(time_steps=3)(torch.tensor([1.5, 1.5, 1.5]))  # v = 0.75, 1.125 (fires), 0.75
        tensor([0., 1., 0.])
    """

    node_type = sj_neuron.LIFNode

    def __init__(self, tau: float = 2.0, decay_input: bool = True, **kwargs) -> None:
        super().__init__(tau, decay_input=decay_input, **kwargs)


class PLIF(ThresholdNeuron):
    """LIF neuron with a learnable time constant, one per neuron layer, stored as ``node.w`` with 1 / tau = sigmoid(w).

    Source: Fang et al., "Incorporating Learnable Membrane Time Constant to Enhance Learning of Spiking Neural
    Networks", ICCV 2021.

    Args:
        tau (float): Membrane time constant to start from, above 1.
        decay_input (bool): Divide the input by tau as well.
        **kwargs: As `ThresholdNeuron`.
    """

    node_type = sj_neuron.ParametricLIFNode

    def __init__(self, tau: float = 2.0, decay_input: bool = True, **kwargs) -> None:
        check_number('tau of PLIF', tau, above=1)
        super().__init__(init_tau=float(tau), decay_input=decay_input, **kwargs)


class Izhikevich(_LeakyNeuron):
    """Izhikevich neuron: a quadratic membrane with a recovery variable, in spikingjelly's normalised form.

    Args:
        tau (float): Membrane time constant in steps, at least 1.
        **kwargs: As `ThresholdNeuron`, and v_c, a0, v_rest, w_rest, tau_w, a, b as spikingjelly's IzhikevichNode.
    """

    node_type = sj_neuron.IzhikevichNode


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
