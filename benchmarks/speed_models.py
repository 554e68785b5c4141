"""Models that speed.py measures: MetaSDT as it was before each optimisation, ANN backbones, whole models."""

from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from mmsterf.models import SDSA, MetaSDT
from mmsterf.snn import ILIF, layers

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
WHOLE = {'mask_rcnn': 'mask_rcnn_sdt_mlpixer_tiny', 'semantic_fpn': 'semantic_fpn_sdt_mlpixer_tiny'}
"""Configs of whole models."""


def quadratic(self, x: Tensor) -> Tensor:
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


def saving_neuron(self, x: Tensor) -> Tensor:
    """ILIF.forward with `SavingCount`."""
    y = SavingCount.apply(x, self.max_count)
    return y / self.max_count if self.normalize else y


def backbone(what: str, arch: str, mixer: str) -> nn.Module:
    """The backbone of a case; `what` is one of speed.py's steps or ANN backbones."""
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


def whole(what: str) -> nn.Module:
    """A detector or segmentor with random weights; the detector finds as many objects as it may, 100."""
    cfg = Config.fromfile(CONFIGS / f'{WHOLE[what]}.py')
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    if what == 'mask_rcnn':
        nn.init.constant_(model.roi_head.bbox_head.fc_cls.bias[:3].detach(), 6.0)
    model.eval()
    return model


def batch(what: str, size: tuple) -> dict:
    """One image as a data loader gives it."""
    image = torch.randint(0, 255, (3, *size), dtype=torch.uint8)
    meta = dict(img_shape=size, ori_shape=size, pad_shape=size, scale_factor=(1.0, 1.0), img_id=0)
    if what == 'mask_rcnn':
        from mmdet.structures import DetDataSample as Sample
    else:
        from mmseg.structures import SegDataSample as Sample
    return dict(inputs=[image], data_samples=[Sample(metainfo=meta)])
