"""Watch firing rates during training, validation and testing."""

from typing import Optional

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from mmsterf.analysis import FiringRates, state_of
from mmsterf.registry import HOOKS

_HINT = (
    '; the output of attention among them: it tells no pixel from another. Its product grows with the number of '
    "pixels, so smaller images help, or attention_scale='tokens' in a new training"
)


def _behind_attention(model, names: list) -> bool:
    """Whether one of these neurons takes the product of an attention."""
    from mmsterf.models.attention import SpikeAttention

    model = model.module if is_model_wrapper(model) else model
    places = [f'{name}.proj.' for name, module in model.named_modules() if isinstance(module, SpikeAttention)]
    return any(name.startswith(place) for name in names for place in places)


@HOOKS.register_module()
class FiringRateHook(Hook):
    """Write the firing rate of every neuron layer, every N iterations of training, validation and testing.

    Scalars ``firing_rate/NEURON`` and ``firing_rate/mean`` (``val_firing_rate/...`` and ``test_firing_rate/...``
    otherwise, over all measured batches) go through mmengine's Visualizer, so that all its backends get them. Dead and
    saturated layers are named in the log when they become so, and what helps where they are attention's output. Only
    rank 0 works, on its own share of the data, without communication. A measured iteration costs one sum per neuron
    layer, others nothing; training is not changed.

    Args:
        interval (int): Measure one of so many iterations.

    Raises:
        ValueError: If `interval` is not a positive integer.

    Example:
        >>> custom_hooks = [dict(type='mmsterf.FiringRateHook', interval=50)]
    """

    priority = 'LOW'

    def __init__(self, interval: int = 50) -> None:
        if not isinstance(interval, int) or interval < 1:
            raise ValueError(f'interval of FiringRateHook must be a positive integer, got {interval!r}')
        self.interval = interval
        self._rates: dict = {}  # by mode: training, and an evaluation that interrupts it
        self._states: dict = {}

    def _before_epoch(self, runner: Runner, mode: str = 'train') -> None:
        self._rates.pop(mode, None)

    def _before_iter(self, runner: Runner, batch_idx: int, data_batch=None, mode: str = 'train') -> None:
        number = runner.iter if mode == 'train' else batch_idx
        # The last iteration of an interval in training, the first in an evaluation, which may be short.
        if is_main_process() and (number + (mode == 'train')) % self.interval == 0:
            model = runner.model.module if is_model_wrapper(runner.model) else runner.model
            self._rates.setdefault(mode, FiringRates(model)).__enter__()

    def _after_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None, mode: str = 'train') -> None:
        if mode in self._rates:
            self._rates[mode].__exit__()
            if mode == 'train':
                self._write(runner, mode, runner.iter + 1)

    def _after_epoch(self, runner: Runner, mode: str = 'train') -> None:
        self._write(runner, mode, runner.iter)

    def after_run(self, runner: Runner) -> None:
        """Let go of the model, also after an error."""
        for rates in self._rates.values():
            rates.__exit__()
        self._rates.clear()

    def _write(self, runner: Runner, mode: str, step: int) -> None:
        measured: Optional[FiringRates] = self._rates.pop(mode, None)
        rates = measured.rates() if measured else {}
        if not rates:
            return
        tag = 'firing_rate' if mode == 'train' else f'{mode}_firing_rate'
        scalars = {f'{tag}/{name}': rate for name, rate in rates.items()}
        runner.visualizer.add_scalars({**scalars, f'{tag}/mean': measured.mean()}, step)
        states = {name: state_of(rate) for name, rate in rates.items()}
        for state in ('dead', 'saturated'):
            new = [n for n, s in states.items() if s == state and self._states.get(n) != state]
            if new:
                hint = _HINT if state == 'saturated' and _behind_attention(runner.model, new) else ''
                print_log(f'{state} neurons ({mode}, step {step}): {", ".join(new)}{hint}', logger='current', level=30)
        self._states = {**self._states, **states}
