"""Run configs made for GPUs on a machine without one."""

import os
from contextlib import contextmanager
from functools import wraps

import torch
from mmcv.ops.nms import NMSop
from mmcv.ops.roi_align import RoIAlign
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import get_rank
from mmengine.optim import OptimWrapper
from mmengine.runner import autocast
from torch.amp import custom_fwd


class BFloat16OptimWrapper(OptimWrapper):
    """Automatic mixed precision in bfloat16, which mmengine's AmpOptimWrapper refuses on CPU.

    bfloat16 has the range of float32, so no loss scaling is needed. mmcv's operators know no bfloat16 and get float32.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        if not hasattr(NMSop.forward, '__wrapped__'):
            NMSop.forward = staticmethod(custom_fwd(NMSop.forward, device_type='cpu', cast_inputs=torch.float32))
            RoIAlign.forward = _in_float32(RoIAlign.forward)

    @contextmanager
    def optim_context(self, model):
        """Run the forward pass and the losses under autocast."""
        with super().optim_context(model), autocast(dtype=torch.bfloat16):
            yield


def _in_float32(forward):
    """Pool in float32, and return what was given: mmdet copies the result into a tensor like the features."""

    @wraps(forward)
    def wrapper(self, features, rois):
        return forward(self, features.float(), rois.float()).to(features.dtype)

    return wrapper


def is_main() -> bool:
    """Whether this is the main process of its run, also before the processes know of each other."""
    return int(os.environ.get('RANK', get_rank())) == 0


def notice(text: str) -> None:
    """Print one line, on the main process only."""
    if is_main():
        print(text, flush=True)


def enable_amp(cfg: Config) -> None:
    """Train in mixed precision: mmengine's AMP on an accelerator, bfloat16 on CPU."""
    if get_device() == 'cpu':
        cfg.optim_wrapper.pop('loss_scale', None)
        cfg.optim_wrapper.pop('dtype', None)
        cfg.optim_wrapper.type = f'{__name__}.{BFloat16OptimWrapper.__name__}'
        notice('--amp without an accelerator: bfloat16 autocast on CPU')
    else:
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def adapt_to_device(cfg: Config, launcher: str) -> None:
    """Without an accelerator, make a config run on CPU, alone or in gloo processes; else leave it alone.

    Args:
        cfg (Config): Changed in place: SyncBN becomes BN (one line of notice), distributed wrapping takes no devices.
        launcher (str): As given to the tools.

    Raises:
        ValueError: If `launcher` needs CUDA.
    """
    if get_device() != 'cpu':
        return
    if replaced := replace_sync_bn(cfg.model) + bool(cfg.pop('sync_bn', None)):
        notice(f'SyncBN has no CPU kernel: BN instead in {replaced} place(s) of the config')
    if launcher == 'none':
        return
    if launcher != 'pytorch':
        raise ValueError(
            f"launcher '{launcher}' needs CUDA; without it, start the processes with torchrun (tools/dist_train.sh, "
            'tools/slurm_train.sh) and --launcher pytorch'
        )
    cfg.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel',
        'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
        **(cfg.get('model_wrapper_cfg') or {}),
        'device_ids': None,
    }
    # mmengine would call torch.cuda.set_device; it skips its own set-up when the group is there.
    torch.distributed.init_process_group('gloo')


def replace_sync_bn(node) -> int:
    """Replace `type='SyncBN'` below a config node in place; returns how often."""
    if isinstance(node, (list, tuple)):
        return sum(replace_sync_bn(child) for child in node)
    if not isinstance(node, dict):
        return 0
    found = node.get('type') in ('SyncBN', 'MMSyncBN')
    if found:
        node['type'] = 'BN'
    return found + sum(replace_sync_bn(child) for child in node.values())
