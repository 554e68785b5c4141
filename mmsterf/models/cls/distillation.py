"""Classifiers that learn from a teacher."""

from typing import Callable, Union

import torch
import torch.nn.functional as F
from mmengine.config import Config, ConfigDict
from mmengine.hub import get_config
from mmpretrain.models.classifiers import ImageClassifier
from torch import Tensor

from mmsterf.checkpoint import convert, is_published, read
from mmsterf.checkpoint.convert import check_tensors
from mmsterf.checkpoint.io import state_dict_of
from mmsterf.errors import InvalidInput
from mmsterf.registry import MODELS


@MODELS.register_module()
class DistilledClassifier(ImageClassifier):
    """mmpretrain's ImageClassifier with a teacher beside it while it trains; tested and saved without it.

    The labels teach `head.fc`; the teacher teaches `head.fc_kd` where the head has it (``distilled=True``), the same
    logits otherwise. Source: Touvron et al., Training data-efficient image transformers & distillation through
    attention (ICML 2021), section 4, as the code of Spike-driven Transformer v3 has it.

    Args:
        teacher (dict | str): Any classifier of mmpretrain, as a model config, or a config file (also
            ``mmpretrain::...``), whose `model` is taken. It sees the images as the student does. Built when a training
            begins; a test needs neither it nor its checkpoint.
        teacher_checkpoint (str): Its weights, all of them or it is an error.
        distillation (str): 'hard', cross-entropy with the teacher's class, or 'soft', Kullback-Leibler divergence from
            the teacher's distribution.
        alpha (float): Weight of the teacher's part; 1 - alpha is that of the labels.
        temperature (float): Of both distributions, 'soft' only.
        **kwargs: As mmpretrain's ImageClassifier: `backbone`, `neck`, `head`, ...

    Raises:
        InvalidInput: For values that are none of these, a checkpoint that does not fill the teacher, or a teacher with
            another number of classes.
    """

    def __init__(
        self,
        *,
        teacher: Union[dict, str],
        teacher_checkpoint: str,
        distillation: str = 'hard',
        alpha: float = 0.5,
        temperature: float = 1.0,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if distillation not in ('hard', 'soft'):
            raise InvalidInput(f'distillation={distillation!r}: hard or soft')
        if not 0 <= alpha <= 1:
            raise InvalidInput(f'alpha={alpha!r}: a number from 0 (labels only) to 1 (teacher only)')
        if not temperature > 0:
            raise InvalidInput(f'temperature={temperature!r}: a number above 0')
        self.distillation = distillation
        self.alpha = alpha
        self.temperature = temperature
        self.teacher_source = (teacher, teacher_checkpoint)
        # Not a submodule: neither trained, nor saved, nor counted.
        self.__dict__['teacher'] = None

    def init_weights(self) -> None:
        """As a training begins: here a teacher that cannot be had ends it. Tests need none."""
        super().init_weights()
        self.load_teacher()

    def load_teacher(self) -> None:
        """Build the teacher where the student is, and fill it from its checkpoint, with nothing left at random."""
        source, checkpoint = self.teacher_source
        model = MODELS.build(undownloaded(model_config(source)))
        state = {key.removeprefix('module.'): value for key, value in state_dict_of(read(checkpoint)).items()}
        if is_published(state):
            state, _ = convert(state)
        wanted = {key: tuple(value.shape) for key, value in model.state_dict().items()}
        check_tensors(state, wanted, f'{checkpoint} does not fit the teacher')
        model.load_state_dict(state)
        self.__dict__['teacher'] = model.to(next(self.parameters())).eval().requires_grad_(False)

    def _apply(self, fn: Callable, *args, **kwargs) -> 'DistilledClassifier':
        if self.teacher is not None:
            self.teacher._apply(fn, *args, **kwargs)
        return super()._apply(fn, *args, **kwargs)

    def loss(self, inputs: Tensor, data_samples: list) -> dict:
        """Losses of the labels (`loss`, weighed) and of the teacher (`loss_teacher`)."""
        own, learned = self.head.both_logits(self.extract_feat(inputs))
        if self.teacher is None:
            self.load_teacher()
        with torch.no_grad():
            taught = self.teacher(inputs)
        if taught.shape != learned.shape:
            raise InvalidInput(f'the teacher tells {taught.shape[-1]} classes apart, the student {learned.shape[-1]}')
        losses = self.head._get_loss(own, data_samples)
        losses['loss'] = (1 - self.alpha) * losses['loss']
        return {**losses, 'loss_teacher': self.alpha * self.teacher_loss(learned, taught)}

    def teacher_loss(self, logits: Tensor, taught: Tensor) -> Tensor:
        """Scalar distance of the logits (N, classes) from the teacher's."""
        if self.distillation == 'hard':
            return F.cross_entropy(logits, taught.argmax(1))
        own, target = (F.log_softmax(x / self.temperature, 1) for x in (logits, taught))
        return F.kl_div(own, target, reduction='batchmean', log_target=True) * self.temperature**2


def model_config(teacher: Union[dict, str]) -> ConfigDict:
    """The `model` of a config file, of a config of an installed package (``mmpretrain::...``), or the config itself."""
    if isinstance(teacher, str):
        return (get_config(teacher) if '::' in teacher else Config.fromfile(teacher)).model
    return ConfigDict(teacher)


def undownloaded(cfg: dict) -> dict:
    """A model config without any `init_cfg`: all weights come from the checkpoint."""
    return {k: undownloaded(v) if isinstance(v, dict) else v for k, v in cfg.items() if k != 'init_cfg'}
