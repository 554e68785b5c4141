"""One case of speed.py, in a process of its own: prints its numbers as JSON."""

import copy
import json
import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Callable

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

import torch
from speed_models import WHOLE, backbone, batch, whole
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from mmsterf.deploy import compiled, inputs_of, networks, prepared
from mmsterf.deploy.runtimes import started
from mmsterf.engine.allocator import keep_freed_memory
from mmsterf.errors import InvalidInput
from mmsterf.snn import fold_norms

LEAST = 4.0
"""Seconds that a case is timed for, so that a moment's disturbance is not in the median."""


def peak_gflops(device: str, clock: Callable) -> float:
    """Most floating-point operations per second that a large convolution reaches here, in 1e9."""
    conv = torch.nn.Conv2d(256, 256, 3, padding=1).eval().to(device)
    x = torch.randn(1, 256, 100, 152, device=device)
    with torch.inference_mode():
        times = [timed(lambda: conv(x), device, clock) for _ in range(12)]
    return 2 * 9 * 256 * 256 * 100 * 152 / min(times) / 1e9


CLOCKS = {'wall': time.perf_counter, 'cpu': time.process_time}


def timed(run: Callable, device: str, clock: Callable = time.perf_counter) -> float:
    """Seconds of a call."""
    start = clock()
    run()
    if device.startswith('cuda'):
        torch.cuda.synchronize()
    return clock() - start


def step_of(model: torch.nn.Module, x: torch.Tensor, mode: str) -> Callable:
    """A training step, with bfloat16 where `mode` is 'amp', or a forward pass, in PyTorch."""
    model.train(mode != 'inference')  # not chained: stock Swin returns nothing

    def train() -> None:
        model.zero_grad()
        with torch.autocast(x.device.type, torch.bfloat16, enabled=mode == 'amp'):
            maps = model(x)
        sum(out.float().square().mean() for out in maps).backward()

    def infer() -> None:
        with torch.inference_mode():
            model(x)

    return infer if mode == 'inference' else train


def exported(model: torch.nn.Module, x: torch.Tensor, where: str) -> Callable:
    """A forward pass of a folded backbone in another runtime, at this size alone."""
    backend, _, precision = where.partition('-')
    network = networks(model, 'backbone', tuple(x.shape[-2:]))['']
    run = started(network.eval(), x, backend, precision=precision or 'f32')
    array = x.numpy()
    return lambda: run(array)


def whole_model(what: str, size: tuple, where: str, device: str) -> Callable:
    """From an image to predictions, normalisation, non-maximum suppression and pasting of masks included."""
    model = whole(what).to(device)
    data = batch(what, size)
    with torch.no_grad():
        if where == 'pytorch':
            model = fold_norms(model)
        else:
            backend, _, precision = where.partition('-')
            model = compiled(model, backend, inputs_of(model, copy.deepcopy(data)), precision or 'f32')

    def run() -> None:
        with torch.inference_mode():
            model.test_step(copy.deepcopy(data))

    return run


def main(settings: dict) -> dict:
    """Numbers of one case."""
    what, mode, where = (settings[key] for key in ('what', 'mode', 'where'))
    device, runs, clock = settings['device'], settings['runs'], CLOCKS[settings['clock']]
    if settings['threads']:
        torch.set_num_threads(settings['threads'])
    torch.manual_seed(0)
    if what not in ('public', 'linear', 'bytes', 'plain'):
        keep_freed_memory()
    size = tuple(int(side) for side in settings['size'].split('x'))
    found = {'peak': peak_gflops(device, clock)}
    if what in WHOLE:
        step = whole_model(what, size, where, device)
    else:
        model = backbone(what, settings['arch'], settings['mixer']).to(device)
        model.train(mode != 'inference')
        x = torch.randn(1, 3, *size, device=device)
        found['parameters'] = sum(p.numel() for p in model.parameters())
        if what == 'flops':
            with FlopCounterMode(display=False) as counter:
                step_of(model, x, mode)()
            return {**found, 'gflop': counter.get_total_flops() / 1e9}
        if where != 'pytorch':
            step = exported(_folded(model, what) if where == 'nnpack' else prepared(model), x, where)
        else:
            step = step_of(_folded(model, what) if mode == 'inference' else model, x, mode)
    step()
    if what == 'neurons':
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            total = sum(timed(step, device, clock) for _ in range(runs))
        spent = sum(e.cpu_time_total for e in profiled.key_averages() if e.key in ('_Count', '_CountBackward'))
        return {**found, 'share': spent / 1e6 / total}
    times = []
    while len(times) < runs or sum(times) < LEAST:
        times.append(timed(step, device, clock))
    # The memory of the process on CPU: the case has it for itself.
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found['mb'] = (torch.cuda.max_memory_allocated() if device.startswith('cuda') else used) / 2**20
    found['peak'] = max(found['peak'], peak_gflops(device, clock))  # the machine's speed varies
    return {**found, 'seconds': statistics.median(times)}


def _folded(model: torch.nn.Module, what: str) -> torch.nn.Module:
    """What is run in PyTorch without gradients, at its best: norms folded, but for the steps before that."""
    model.eval()
    if what == 'resnet':  # its norms stand beside its convolutions, not behind them in a row
        from mmcv.cnn.utils.fuse_conv_bn import fuse_conv_bn

        return fuse_conv_bn(model)
    return model if what in ('public', 'linear') else fold_norms(model)


if __name__ == '__main__':
    try:
        print(json.dumps(main(json.loads(sys.argv[1]))))
    except InvalidInput as error:
        print(json.dumps({'refused': str(error)}))
