"""One case of speed.py, in a process of its own: prints its numbers as JSON."""

import json
import resource
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parents[1]))

import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from mmsterf.models import SDSA, MetaSDT
from mmsterf.snn import ILIF, fold_norms, layers


def quadratic(self, x):
    """SDSA.forward with q k^T first: a map from pixels to pixels for each head."""
    spikes = self.spike(self.norm(self.qkv(x)))
    q, k, v = (part.unflatten(1, (self.num_heads, -1)).flatten(3) for part in spikes.split(self.widths, dim=1))
    y = v @ (k.transpose(-2, -1) @ q) * self.scale
    return self.proj(y.flatten(1, 2).unflatten(-1, x.shape[-2:]))


class SavingCount(torch.autograd.Function):
    """The I-LIF neuron's count, whose backward pass looks at the input."""

    @staticmethod
    def forward(ctx, x, high):
        """Count of x."""
        ctx.save_for_backward(x)
        ctx.high = high
        return torch.round(torch.clamp(x, 0, high))

    @staticmethod
    def backward(ctx, grad):
        """Gradient where x is in range."""
        (x,) = ctx.saved_tensors
        grad = grad.clone()
        grad[x < 0] = 0
        grad[x > ctx.high] = 0
        return grad, None


def saving_neuron(self, x):
    """ILIF.forward with `SavingCount`."""
    y = SavingCount.apply(x, self.max_count)
    return y / self.max_count if self.normalize else y


def build(what: str, arch: str, mixer: str) -> torch.nn.Module:
    """The model of a case; `what` is one of speed.py's steps or ANN backbones."""
    if what == 'pvt':
        from mmdet.models import PyramidVisionTransformerV2

        return PyramidVisionTransformerV2(embed_dims=32, num_layers=[2, 2, 2, 2])
    if what == 'swin':
        from mmdet.models import SwinTransformer

        return SwinTransformer()
    if what == 'resnet':
        from mmdet.models import ResNet

        return ResNet(50)
    if what == 'public':
        SDSA.forward = quadratic
    if what in ('public', 'linear'):
        ILIF.forward = saving_neuron
    if what in ('public', 'linear', 'bytes'):
        layers.is_slow = lambda *_: False
    return MetaSDT(arch, mixer=dict(type=mixer))


def peak_gflops() -> float:
    """Most floating-point operations per second that a large convolution reaches here, in 1e9."""
    conv = torch.nn.Conv2d(256, 256, 3, padding=1).eval()
    x = torch.randn(1, 256, 100, 152)
    times = []
    for _ in range(12):
        start = time.perf_counter()
        conv(x)
        times.append(time.perf_counter() - start)
    return 2 * 9 * 256 * 256 * 100 * 152 / min(times) / 1e9


def main(arch: str, mixer: str, runs: str, threads: str, what: str, mode: str, size: str) -> dict:
    """Numbers of one case."""
    torch.set_num_threads(int(threads))
    torch.manual_seed(0)
    training = mode == 'training'
    if what == 'peak':
        with torch.inference_mode():
            return {'gflops': peak_gflops()}
    model = build(what, arch, mixer)
    model.train(training)  # not chained: stock Swin returns nothing
    parameters = sum(p.numel() for p in model.parameters())
    if what == 'folded':
        model = fold_norms(model)
    x = torch.randn(1, 3, *(int(side) for side in size.split('x')))

    def run() -> float:
        start = time.perf_counter()
        if training:
            model.zero_grad()
            sum(out.square().mean() for out in model(x)).backward()
        else:
            with torch.inference_mode():
                model(x)
        return time.perf_counter() - start

    run()
    if what == 'flops':
        with FlopCounterMode(display=False) as counter:
            run()
        return {'gflop': counter.get_total_flops() / 1e9, 'parameters': parameters}
    if what == 'neurons':
        with profile(activities=[ProfilerActivity.CPU]) as profiled:
            total = sum(run() for _ in range(int(runs)))
        spent = sum(e.cpu_time_total for e in profiled.key_averages() if e.key in ('_Count', '_CountBackward'))
        return {'share': spent / 1e6 / total}
    seconds = statistics.median(run() for _ in range(int(runs)))
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {'seconds': seconds, 'mb': memory, 'parameters': parameters}


if __name__ == '__main__':
    print(json.dumps(main(*sys.argv[1:])))
