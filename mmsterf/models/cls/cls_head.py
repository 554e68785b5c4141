"""Spiking classifier head."""

from typing import Optional

from mmpretrain.models.heads import ClsHead
from torch import Tensor, nn

from mmsterf.registry import MODELS
from mmsterf.snn import build_neuron, rate


@MODELS.register_module()
class SpikingClsHead(ClsHead):
    """Classifier of the spiking Transformers: spatial mean, neuron, linear layer; logits are averaged over time.

    Source: ImageNet models of Spike-driven Transformer v3; converted checkpoints have the names of this head.

    Args:
        num_classes (int): Number of classes.
        in_channels (int): Channels of the last map.
        neuron (dict, optional): Neuron; I-LIF with integer counts by default. Logits are averaged over its
            `time_steps`, so that a backbone over several steps has ``output='folded'``.
        distilled (bool): A second linear layer, `fc_kd`, as models trained by distillation have it; logits are the mean
            of both. Only DistilledClassifier trains it.
        init_cfg (dict, optional): mmengine initialisation.
        **kwargs: As mmpretrain's ClsHead: `loss`, `topk`, `cal_acc`.

    Shape:
        A tuple of maps of which the last, (T*N, C, H, W), or pooled by a neck, (T*N, C), counts, to (N, num_classes).
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        neuron: Optional[dict] = None,
        distilled: bool = False,
        init_cfg: Optional[dict] = None,
        **kwargs,
    ) -> None:
        super().__init__(init_cfg=init_cfg or {'type': 'Normal', 'layer': 'Linear', 'std': 0.01}, **kwargs)
        self.num_classes = num_classes
        self.in_channels = in_channels
        self.neuron = build_neuron(neuron, **({} if neuron else {'normalize': False}))
        self.fc = nn.Linear(in_channels, num_classes)
        self.fc_kd = nn.Linear(in_channels, num_classes) if distilled else None

    def pre_logits(self, feats: tuple) -> Tensor:
        """Spikes (T*N, C) that the linear layer reads."""
        x = feats[-1] if isinstance(feats, (tuple, list)) else feats
        return self.neuron(x.mean((2, 3)) if x.dim() == 4 else x)

    def forward(self, feats: tuple) -> Tensor:
        """Logits (N, num_classes)."""
        of_labels, of_teacher = self.both_logits(feats)
        return of_labels if self.fc_kd is None else (of_labels + of_teacher) / 2

    def both_logits(self, feats: tuple) -> tuple:
        """Logits (N, num_classes) that labels teach, and those that a teacher does: the same ones without `fc_kd`."""
        spikes = self.pre_logits(feats)
        of_labels = rate(self.fc(spikes), self.neuron.time_steps)
        return of_labels, of_labels if self.fc_kd is None else rate(self.fc_kd(spikes), self.neuron.time_steps)
