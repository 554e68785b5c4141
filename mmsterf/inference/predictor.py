"""The stock inferencers of the three tasks, with what the tools check: all weights loaded, the checkpoint's classes."""

import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from copy import deepcopy
from typing import Optional

import torch
from mmcv.transforms import Compose
from mmengine.config import Config
from mmengine.dataset import default_collate, pseudo_collate
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import load_checkpoint

from mmsterf.engine.checks import check_model, check_weights
from mmsterf.engine.data_checks import class_names, dataset_class, named_palette
from mmsterf.engine.dataset_parts import dataset_leaves, event_step
from mmsterf.engine.device import adapt_to_device, notice
from mmsterf.engine.sequences import check_sequences
from mmsterf.errors import InvalidInput
from mmsterf.models.time_steps import heads

from .item import Item
from .pictures import colours

TASKS = {'mmdet': 'det', 'mmseg': 'seg', 'mmpretrain': 'cls'}
VISUALIZERS = {'mmdet': 'DetLocalVisualizer', 'mmseg': 'SegLocalVisualizer', 'mmpretrain': 'UniversalVisualizer'}


class Predictor:
    """DetInferencer, MMSegInferencer or ImageClassificationInferencer, as the config's `default_scope` says.

    Args:
        cfg (Config): Config, as `load_config` reads it; its test pipeline prepares the images.
        checkpoint (str): File or address; published names are converted.
        device (str, optional): Where to run, an accelerator if there is one by default.

    Attributes:
        scope (str): 'mmdet', 'mmseg' or 'mmpretrain'.
        classes (list[str]): The checkpoint's, or the config's if it names none.
        palette (list[tuple]): A colour for each class.
        inferencer: The stock inferencer, which may be used by itself.

    Raises:
        InvalidInput: If the config has no test data set, or the checkpoint does not fit.
    """

    def __init__(self, cfg: Config, checkpoint: str, device: Optional[str] = None) -> None:
        self.scope = cfg.default_scope
        self.cfg = cfg = deepcopy(cfg)
        self.events = event_step(cfg) is not None
        check_sequences(cfg)
        loader = cfg.get('test_dataloader') or cfg.get('val_dataloader')
        if not isinstance(loader, dict) or not loader.get('dataset'):
            raise InvalidInput('the config has neither test_dataloader nor val_dataloader, whose pipeline reads images')
        # Of joined data sets, the first one's pipeline.
        loader.dataset = leaf = next(dataset_leaves(loader.dataset))
        cfg.test_dataloader = loader
        # Nothing but pictures of ours is wanted of a visualizer: no TensorBoard.
        cfg.visualizer = {'type': VISUALIZERS[self.scope], 'name': 'predictor'}
        adapt_to_device(cfg, 'none')
        init_default_scope(self.scope)  # mmpretrain's inferencer does not
        with warnings.catch_warnings(), quiet():
            warnings.simplefilter('ignore')  # of weights, classes and palettes, which follow
            self.inferencer = self._build(cfg, device)
        self.model = self.inferencer.model
        check_model(self.model)
        check_weights(self.model, checkpoint)
        meta = load_checkpoint(self.model, checkpoint, map_location='cpu', logger='silent').get('meta') or {}
        stored = {key.lower(): value for key, value in (meta.get('dataset_meta') or meta).items()}
        own, palette = _metainfo(leaf, self.scope)
        self.classes = [str(name) for name in stored.get('classes') or own or ()]
        self._check_classes(checkpoint)
        if own and self.classes != list(own):
            notice(f'classes are those of {checkpoint}, the config names others: {_few(self.classes)}')
        self.palette = colours(len(self.classes), _palette(own, palette, stored.get('palette')))
        self.model.dataset_meta = {'classes': tuple(self.classes), 'palette': self.palette}

    def _build(self, cfg: Config, device: Optional[str]):
        if self.scope == 'mmdet':
            from mmdet.apis import DetInferencer

            return self._kind(DetInferencer)(cfg, device=device, show_progress=False)
        if self.scope == 'mmseg':
            from mmseg.apis import MMSegInferencer

            return self._kind(MMSegInferencer)(cfg, device=device)
        from mmengine.device import get_device
        from mmpretrain.apis import ImageClassificationInferencer

        return self._kind(ImageClassificationInferencer)(cfg, False, device or get_device())

    def _kind(self, base: type) -> type:
        """An inferencer's class; for events one that takes the test pipeline as it is, without annotations."""
        if not self.events:
            return base

        def init_pipeline(_, cfg: Config) -> Compose:
            steps = [step for step in cfg.test_dataloader.dataset.pipeline if 'Annotation' not in str(step['type'])]
            if 'meta_keys' in steps[-1]:
                steps[-1]['meta_keys'] = tuple(key for key in steps[-1]['meta_keys'] if key != 'img_id')
            return Compose(steps)

        return type(f'Event{base.__name__}', (base,), {'_init_pipeline': init_pipeline})

    def _check_classes(self, checkpoint: str) -> None:
        for key, head in heads(self.model):
            number = None if key.endswith('rpn_head') else getattr(head, 'num_classes', None)
            if number is not None and not self.classes:
                self.classes = [str(i) for i in range(number)]
            if number is not None and number != len(self.classes):
                raise InvalidInput(
                    f'{key}.num_classes is {number}, but {checkpoint} or the config name {len(self.classes)} classes '
                    f'({_few(self.classes)}): they must be the same'
                )

    def __call__(self, item: Item):
        """Data sample with the predictions for an item."""
        return self.inferencer.forward(self._prepared(item))[0].cpu()

    def _prepared(self, item: Item) -> dict:
        if item.inputs is not None:
            collate = default_collate if self.scope == 'mmpretrain' else pseudo_collate
            return collate([self.inferencer.pipeline(dict(item.inputs))])
        data = next(iter(self.inferencer.preprocess([item.image], batch_size=1)))
        # mmdet's inferencer hands the images over beside what is made of them.
        return data[1] if self.scope == 'mmdet' else data

    @torch.no_grad()
    def use_backend(self, backend: str, item: Item, precision: str = 'f32') -> str:
        """Let another runtime run the networks, folded, at any size of images; see `mmsterf.deploy.compiled`.

        Args:
            backend (str): One of `mmsterf.deploy.BACKENDS`.
            item (Item): To export and to compare with.
            precision (str): 'f32', or 'bf16' with OpenVINO.

        Returns:
            str: A line on what runs there, and the differences from PyTorch.

        Raises:
            InvalidInput: If a network cannot be exported, the runtime is absent, or results are others.
        """
        from mmsterf.deploy import compiled, describe_differences, inputs_of

        inputs = inputs_of(self.model, self._prepared(item))
        self.inferencer.model = self.model = compiled(self.model, backend, inputs, precision)
        return describe_differences(self.model, backend)


@contextmanager
def quiet():
    """Keep mmengine's logger from all but errors: a stock inferencer warns of a registry that its package has not."""
    logger = MMLogger.get_current_instance()
    level = logger.level
    logger.setLevel('ERROR')
    try:
        yield
    finally:
        logger.setLevel(level)


def _metainfo(leaf: dict, scope: str) -> tuple:
    """Classes and palette that the config names, None each if it does not."""
    kind = dataset_class(leaf, scope)
    classes = (class_names(leaf, kind) or (None,))[0] if kind is not None else None
    return classes, named_palette(leaf, kind)


def _few(names: Sequence[str]) -> str:
    return ', '.join(names[:4]) + ', ...' * (len(names) > 4)


def _palette(own: Optional[Sequence], palette: Optional[Sequence], stored: Optional[Sequence]):
    """The checkpoint's palette or the config's; neither where it is of other classes or by lot (`named_palette`)."""
    return None if own and not palette else stored or palette
