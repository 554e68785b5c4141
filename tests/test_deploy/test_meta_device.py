"""Models run on the `meta` device, forward and backward: no tensor is made on another device than the input's."""

import pytest
import torch
from small_models import build, config
from torch import Tensor

from mmsterf.deploy.parts import dense_head, flat, roi_heads
from mmsterf.versions import missing_for_pretraining

CONFIGS = [
    'mask_rcnn_sdt_conv_tiny',
    'mask_rcnn_sdt_mlpixer_digits',
    'mask_rcnn_sdt_srb_tiny',
    'mask_rcnn_sdtv2_digits',
    'cascade_mask_rcnn_sdt_mlpixer_tiny',
    'retinanet_sdt_mlpixer_tiny',
    'semantic_fpn_sdt_mlpixer_digits',
    'semantic_fpn_sdtv2_digits',
    'published/semantic_fpn_sdtv2_15m',
    'imagenet/sdt_mlpixer6_nano_in1k',
    'imagenet/sdt_v1_8_512_in1k',
    'imagenet/spikformer_8_512_in1k',
    'imagenet/qkformer_10_384_in1k',
]


class _Devices(torch.utils._python_dispatch.TorchDispatchMode):
    """Refuses every operation that makes or reads a tensor elsewhere than on `meta`; numbers are no tensors."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for value in torch.utils._pytree.tree_leaves((args, kwargs, out)):
            if isinstance(value, Tensor) and value.dim():
                assert value.device.type == 'meta', f'{func} has a tensor {tuple(value.shape)} on {value.device}'
        return out


@pytest.mark.parametrize('name', CONFIGS)
def test_forward_and_backward(name):
    if name.startswith('imagenet/') and missing_for_pretraining():
        pytest.skip('mmpretrain is not installed')
    model = build(config(name)).to('meta')
    for training in (True, False):
        model.train(training)
        model.zero_grad()
        x = torch.empty(2, 3, 64, 64, device='meta', requires_grad=True)
        with _Devices():
            maps = model.extract_feat(x)
            outputs = [*flat(maps), *flat(getattr(model, dense_head(model))(maps))]
            for head, shape, time_steps in roi_heads(model).values():
                outputs += flat(head(torch.empty(3 * time_steps, *shape, device='meta', requires_grad=True)))
            for head in getattr(model, 'auxiliary_head', ()):
                outputs += flat(head(maps))
            assert len(outputs) > 1 and all(out.requires_grad for out in outputs)
            sum(out.sum() for out in outputs).backward()
        assert x.grad.device.type == 'meta'
        assert not [key for key, value in model.named_parameters() if value.grad is None]
