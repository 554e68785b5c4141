"""Classification: a spiking head for mmpretrain's classifiers. Imported on its own: mmdet and mmseg do not need it."""

from .cls_head import SpikingClsHead
from .distillation import DistilledClassifier
from .sequence import SequenceClsDataPreprocessor

__all__ = ['DistilledClassifier', 'SequenceClsDataPreprocessor', 'SpikingClsHead']
