"""Watch effective receptive fields grow during training."""

import math
from collections.abc import Sequence
from typing import Optional, Union

import torch
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor, nn

from mmsterf.analysis.features import Images, default_layers, run_features
from mmsterf.analysis.shapes import input_shape
from mmsterf.erf import Noise, measure, plots, same_randomness, st_erf
from mmsterf.erf.shapes import timing
from mmsterf.registry import HOOKS

from .figures import add_figure

SCALARS = ('nonzero', 'area_50', 'area_99', 'radius', 'entropy_coverage', 'half_life')
INPUTS = ('noise', 'val')


@HOOKS.register_module()
class STERFHook(Hook):
    """Draw the ST-ERF of chosen layers every N epochs or iterations, and at the end of training.

    Figures (`st_erf`, with time also `st_erf_delays` and `st_erf_temporal`) and scalars (``st_erf/LAYER/METRIC``) go
    through mmengine's Visualizer, so that all its backends get them. Only rank 0 works, without communication; sharded
    models, whose forward pass needs all ranks, are left alone with a warning. Training is not changed, to the last bit:
    modes, buffers, gradients and random generators are as before (`mmsterf.erf.untouched`).

    Args:
        interval (int): Every so many epochs (or iterations); 0 means at the end alone.
        by_epoch (bool): Whether `interval` counts epochs.
        layers (Sequence[str], optional): Names or patterns; default the backbone's maps, in front of the
            layer norm where one ends in it.
        inputs (str): 'noise', or 'val' for images of the validation set. The same every time.
        num (int): Number of inputs.
        size (tuple[int, int], optional): (H, W). Noise is 224 x 224 by default, or what the config says where the model
            does not take that; images have the size of the first.
        position (str | tuple): See `mmsterf.erf.locate`.
        time_steps (int, optional): T; the backbone's by default.
        batch_size (int): Inputs per forward pass; bounds the memory.
        seed (int): Of the noise.

    Raises:
        ValueError: If an argument is not valid; at the start of training, if a layer cannot be analysed.

    Example:
        >>> custom_hooks = [dict(type='mmsterf.STERFHook', interval=2, inputs='val', num=4)]
    """

    priority = 'LOW'

    def __init__(
        self,
        interval: int = 1,
        by_epoch: bool = True,
        layers: Optional[Sequence[str]] = None,
        inputs: str = 'noise',
        num: int = 4,
        size: Optional[tuple[int, int]] = None,
        position: Union[str, tuple] = 'center',
        time_steps: Optional[int] = None,
        batch_size: int = 1,
        seed: int = 0,
    ) -> None:
        if inputs not in INPUTS:
            raise ValueError(f'inputs of STERFHook must be one of {", ".join(INPUTS)}, got {inputs!r}')
        for name, value, least in (('interval', interval, 0), ('num', num, 1), ('batch_size', batch_size, 1)):
            if not isinstance(value, int) or value < least:
                raise ValueError(f'{name} of STERFHook must be an integer of at least {least}, got {value!r}')
        self.interval, self.by_epoch = interval, by_epoch
        self.layers, self.inputs, self.num, self.size = layers, inputs, num, size
        self.position = position if isinstance(position, str) else tuple(position)
        self.time_steps, self.batch_size, self.seed = time_steps, batch_size, seed
        self._samples: Optional[list[Tensor]] = None
        self._told: set[str] = set()
        self._done = -1

    def before_train(self, runner: Runner) -> None:
        """Find out now, on every rank, whether the layers can be analysed."""
        if self._supported(runner):
            self._analyse(runner, num=1)

    def after_train_epoch(self, runner: Runner) -> None:
        """Draw every `interval` epochs."""
        if self.by_epoch and self.every_n_epochs(runner, self.interval):
            self._draw(runner, runner.epoch + 1)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        """Draw every `interval` iterations."""
        if not self.by_epoch and self.every_n_train_iters(runner, self.interval):
            self._draw(runner, runner.iter + 1)

    def after_train(self, runner: Runner) -> None:
        """Draw at the end, if that has not just been done."""
        step = runner.epoch if self.by_epoch else runner.iter
        if step != self._done:
            self._draw(runner, step)

    def _supported(self, runner: Runner) -> bool:
        if not is_model_wrapper(runner.model) or isinstance(
            runner.model, (nn.DataParallel, nn.parallel.DistributedDataParallel)
        ):
            return True
        print_log(
            f'STERFHook does nothing: the forward pass of {type(runner.model).__name__} needs all ranks',
            logger='current',
            level=30,
        )
        return False

    def _analyse(self, runner: Runner, num: int) -> dict:
        model = runner.model
        bare = model.module if is_model_wrapper(model) else model
        time_steps, input_time = timing(bare, self.time_steps, 'auto')
        device = next(bare.parameters()).device
        with same_randomness(), torch.autocast(device.type, enabled=False):
            if self._samples is None:
                self._samples = [sample.cpu() for sample in self._load(runner, bare)]
            return st_erf(
                model,
                self._samples[:num],
                self.layers or default_layers(bare, time_steps),
                time_steps=time_steps,
                input_time=input_time,
                position=self.position,
                batch_size=self.batch_size,
                forward=run_features,
                in_front_of_norms=not self.layers,
                notify=self._tell,
            )

    def _tell(self, note: str) -> None:
        if note not in self._told and is_main_process():
            print_log(f'STERFHook: {note}', logger='current', level=30)
        self._told.add(note)

    def _load(self, runner: Runner, model: nn.Module) -> Sequence[Tensor]:
        size, images, sample = self.size and tuple(self.size), None, None
        if self.inputs == 'val':
            if runner.val_dataloader is None:
                raise ValueError("STERFHook with inputs='val' needs a val_dataloader; inputs='noise' does not")
            images = Images(runner.val_loop.dataloader.dataset, model.data_preprocessor, self.num, size)
            sample = images[0]
        shape = input_shape(
            runner.cfg, model, run_features, size=size, time_steps=self.time_steps, sample=sample
        )  # fmt: skip
        return Noise(self.num, shape.sample, self.seed) if images is None else images

    def _draw(self, runner: Runner, step: int) -> None:
        self._done = step
        if not is_main_process() or not self._supported(runner):
            return
        results = self._analyse(runner, self.num)
        unit = 'epoch' if self.by_epoch else 'iteration'
        title = f'Spatial ERF, {unit} {step}'
        name = type(runner.model.module if is_model_wrapper(runner.model) else runner.model).__name__
        figures = {'st_erf': plots.overview_figure({name: results}, 'both', title)}
        if max(len(r.mean) for r in results.values()) > 1:
            figures['st_erf_delays'] = plots.delay_figure(results, title=f'ST-ERF by delay, {unit} {step}')
            figures['st_erf_temporal'] = plots.temporal_figure(results, f'Temporal ERF, {unit} {step}')
        for tag, figure in figures.items():
            add_figure(runner.visualizer, tag, plots.to_array(figure), step)
        scalars = {}
        for layer, result in results.items():
            numbers = measure(result)
            values = {k: numbers[k] for k in SCALARS if math.isfinite(numbers[k])}
            scalars.update({f'st_erf/{layer.replace(":", "-")}/{k}': v for k, v in values.items()})
        runner.visualizer.add_scalars(scalars, step)
        empty = [layer for layer, r in results.items() if not r.mean.any() and not r.cancels]
        if empty:
            print_log(f'STERFHook: the receptive field of {", ".join(empty)} is empty', logger='current', level=30)
