"""Neurons that fire 0 or 1 at a threshold: spikingjelly's, on folded maps."""

import inspect
from importlib.util import find_spec
from typing import Optional, Union

from spikingjelly.activation_based import neuron as sj_neuron
from torch import Tensor, nn

from mmsterf.ranges import check_number

from .over_time import check_positive, check_tau, run_over_time
from .surrogates import build_surrogate


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
        check_positive(type(self).__name__, time_steps=time_steps)
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
        return run_over_time(self.node, x, self.time_steps)

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
        check_tau(type(self).__name__, tau)
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
